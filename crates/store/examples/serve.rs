//! Serves a store from a directory: `serve DIR ADDR`. Prints `serving on ADDR` when it is ready.

use std::path::PathBuf;

use store::{Options, Store};
use tokio::net::TcpListener;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(dir), Some(addr)) = (arguments.next(), arguments.next()) else {
        return Err("usage: serve DIR ADDR".into());
    };
    let listener = TcpListener::bind(&addr).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let options = Options {
        dir: PathBuf::from(dir),
        name: "default".to_owned(),
        client_urls: vec![url],
    };
    let store = Store::open(options).await?;
    println!("serving on {}", listener.local_addr()?);
    store.serve(listener, interrupted()).await?;
    Ok(store.close().await?)
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
