//! Generates the etcd v3 API and the store's own records from `proto/`.

fn main() -> std::io::Result<()> {
    tonic_prost_build::configure()
        .build_client(false)
        // keys and values are shared between the state, its history and the answers
        .bytes(".")
        .compile_protos(&["proto/store.proto"], &["proto"])
}
