//! Refusals as gRPC statuses, with etcd's codes (etcd 3.4, `etcdserver/api/v3rpc/rpctypes`).

use tonic::{Code, Status};

use crate::node::Failure;
use crate::state::Refusal;

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        Self::new(code(refusal), refusal.to_string())
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Stopped => Self::unavailable(failure.to_string()),
        }
    }
}

fn code(refusal: Refusal) -> Code {
    match refusal {
        Refusal::EmptyKey
        | Refusal::KeyNotFound
        | Refusal::ValueProvided
        | Refusal::LeaseProvided
        | Refusal::TooManyOps
        | Refusal::DuplicateKey
        | Refusal::InvalidSortOption
        | Refusal::RequestTooLarge => Code::InvalidArgument,
        Refusal::Compacted | Refusal::FutureRevision | Refusal::LeaseTtlTooLarge => {
            Code::OutOfRange
        }
        Refusal::LeaseNotFound => Code::NotFound,
        Refusal::LeaseExists => Code::FailedPrecondition,
    }
}
