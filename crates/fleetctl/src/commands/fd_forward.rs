//! `fleetctl fd-forward SOCKET`: joins stdin and stdout with a socket, for fleetctls that come over SSH.

use std::process::ExitCode;

use anyhow::{Context, bail};
use tokio::io::{AsyncWriteExt, copy, stdin, stdout};
use tokio::net::UnixStream;

use crate::args::FdForward;

pub(crate) async fn run(options: &FdForward) -> anyhow::Result<ExitCode> {
    let [path] = options.sockets.as_slice() else {
        bail!("Provide a single argument")
    };
    let socket = UnixStream::connect(path).await;
    let socket = socket.with_context(|| {
        format!(
            "Failed dialing remote address: dial unix {}",
            path.display()
        )
    })?;
    forward(socket)
        .await
        .context("Encountered error during copy")?;
    Ok(ExitCode::SUCCESS)
}

/// Ends when the socket's side has said everything; the end of stdin is passed on and does not end it.
async fn forward(socket: UnixStream) -> std::io::Result<()> {
    let (mut from_socket, mut to_socket) = socket.into_split();
    let upwards = async {
        copy(&mut stdin(), &mut to_socket).await?;
        to_socket.shutdown().await?;
        std::future::pending().await
    };
    let downwards = async {
        let mut stdout = stdout();
        copy(&mut from_socket, &mut stdout).await?;
        stdout.flush().await
    };
    tokio::select! {
        ended = downwards => ended,
        failed = upwards => failed,
    }
}
