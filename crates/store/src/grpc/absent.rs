//! Answers for the parts of etcd's API that this store does not have: `Unimplemented`, and a
//! sentence that says so instead of an empty error.

use std::task::{Context, Poll};

use futures_util::future::{Either, Ready};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

/// Paths, or their beginnings, and why there is nothing there.
const ABSENT: &[(&str, &str)] = &[
    (
        "/etcdserverpb.Auth/",
        "the embedded store has no users and roles; protect its address, or use an etcd cluster",
    ),
    (
        "/etcdserverpb.Cluster/Member",
        "the embedded store is a cluster of one; members cannot be changed",
    ),
    (
        "/etcdserverpb.KV/RangeStream",
        "the embedded store does not stream ranges; use Range with a limit",
    ),
    (
        "/etcdserverpb.Maintenance/Defragment",
        "the embedded store reuses the free space in its file; there is nothing to defragment",
    ),
    (
        "/etcdserverpb.Maintenance/Snapshot",
        "the embedded store does not stream its file; stop it and copy the file",
    ),
    (
        "/etcdserverpb.Maintenance/",
        "the embedded store does not offer this; it has Status and Alarm",
    ),
    (
        "/v3lockpb.Lock/",
        "the embedded store has no lock service; clients can lock with a lease",
    ),
    (
        "/v3electionpb.Election/",
        "the embedded store has no election service; clients can elect with a lease",
    ),
];

/// Paths that are there although their beginning is in the list.
const PRESENT: &[&str] = &[
    "/etcdserverpb.Cluster/MemberList",
    "/etcdserverpb.Maintenance/Status",
    "/etcdserverpb.Maintenance/Alarm",
];

/// Puts the answers before a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Absent;

/// A server with the answers before it.
#[derive(Debug, Clone)]
pub(crate) struct WithAbsent<S> {
    inner: S,
}

impl<S> Layer<S> for Absent {
    type Service = WithAbsent<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WithAbsent { inner }
    }
}

impl<S, B> Service<Request<B>> for WithAbsent<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match why_absent(request.uri().path()) {
            None => Either::Left(self.inner.call(request)),
            Some(why) => {
                let answer = Status::unimplemented(why).into_http();
                Either::Right(futures_util::future::ready(Ok(answer)))
            }
        }
    }
}

fn why_absent(path: &str) -> Option<&'static str> {
    if PRESENT.contains(&path) {
        return None;
    }
    ABSENT
        .iter()
        .find(|(start, _)| path.starts_with(start))
        .map(|(_, why)| *why)
}
