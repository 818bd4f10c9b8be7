//! The wire types, generated from `proto/`: etcd's v3 API and the store's own records.

#![allow(clippy::all, missing_docs, unreachable_pub)]

pub(crate) mod mvccpb {
    tonic::include_proto!("mvccpb");
}

pub(crate) mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}

pub(crate) mod storepb {
    tonic::include_proto!("storepb");
}
