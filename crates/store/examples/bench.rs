//! Compares this store with a real etcd on the same disk: `bench [DIR]` (default: the temporary
//! directory). Both are reached over TCP on loopback by the same client. Needs `etcd` in the path
//! for its half of the table.

use std::io::Write as _;
use std::net::TcpListener as StdListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use etcd_client::{Client, Txn, TxnOp};
use store::{Options, Store};
use tokio::net::TcpListener;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long each figure is measured.
const DURATION: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<()> {
    let base = std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(base)?;
    println!(
        "{:<32} {:8.0}/s",
        "4 KiB appended and synced",
        syncs(&dir.path().join("sync"))?
    );
    let ours = measure("store", serve(&dir.path().join("store")).await?).await;
    ours?;
    match Etcd::start(&dir.path().join("etcd")) {
        Ok(etcd) => measure("etcd", etcd.client().await?).await,
        Err(error) => {
            println!("etcd   not measured: {error}");
            Ok(())
        }
    }
}

async fn measure(name: &str, client: Client) -> Result<()> {
    for tasks in [1, 64] {
        let rate = rate(&client, tasks, put).await?;
        print(name, &format!("put, {tasks} tasks"), rate);
    }
    for tasks in [1, 64] {
        let rate = rate(&client, tasks, get).await?;
        print(name, &format!("get, {tasks} tasks"), rate);
    }
    let rate = rate(&client, 1, txn).await?;
    print(name, "txn of 128 puts, 1 task", rate);
    Ok(())
}

fn print(name: &str, what: &str, rate: f64) {
    println!("{:<32} {rate:8.0}/s", format!("{name:6} {what}"));
}

/// How many times a second this disk takes 4 KiB for good.
fn syncs(path: &Path) -> Result<f64> {
    let mut file = std::fs::File::create(path)?;
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < DURATION {
        file.write_all(&[0xa5; 4_096])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}

/// How many calls a second `tasks` tasks make together, each waiting for its answer.
async fn rate<F>(client: &Client, tasks: usize, call: fn(Client, String) -> F) -> Result<f64>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let start = Instant::now();
    let workers: Vec<_> = (0..tasks)
        .map(|task| tokio::spawn(work(client.clone(), task, call)))
        .collect();
    let mut calls = 0;
    for worker in workers {
        calls += worker.await??;
    }
    Ok(f64::from(calls) / start.elapsed().as_secs_f64())
}

async fn work<F>(client: Client, task: usize, call: fn(Client, String) -> F) -> Result<u32>
where
    F: Future<Output = Result<()>>,
{
    let start = Instant::now();
    let mut calls = 0;
    while start.elapsed() < DURATION {
        call(client.clone(), format!("bench/{task}/{}", calls % 1_000)).await?;
        calls += 1;
    }
    Ok(calls)
}

async fn put(mut client: Client, key: String) -> Result<()> {
    client.put(key, [b'v'; 256], None).await?;
    Ok(())
}

async fn get(mut client: Client, key: String) -> Result<()> {
    client.get(key, None).await?;
    Ok(())
}

async fn txn(mut client: Client, key: String) -> Result<()> {
    let puts = (0..128).map(|i| TxnOp::put(format!("{key}/{i}"), [b'v'; 256], None));
    client
        .txn(Txn::new().and_then(puts.collect::<Vec<_>>()))
        .await?;
    Ok(())
}

async fn serve(dir: &Path) -> Result<Client> {
    let options = Options {
        dir: dir.to_owned(),
        name: "bench".to_owned(),
        client_urls: vec![],
    };
    let store = Store::open(options).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(store.serve(listener, std::future::pending()));
    Ok(Client::connect([url], None).await?)
}

/// A real etcd; it ends with this value.
struct Etcd {
    process: Child,
    url: String,
}

impl Etcd {
    fn start(dir: &Path) -> std::io::Result<Self> {
        let url = free_url()?;
        let peer = free_url()?;
        let process = Command::new("etcd")
            .arg("--data-dir")
            .arg(dir)
            .args([
                "--listen-client-urls",
                &url,
                "--advertise-client-urls",
                &url,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args([
                "--initial-cluster",
                &format!("default={peer}"),
                "--log-level",
                "error",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { process, url })
    }

    /// Waits until it answers.
    async fn client(&self) -> Result<Client> {
        let mut client = Client::connect([&self.url], None).await?;
        let start = Instant::now();
        while let Err(error) = client.status().await {
            if start.elapsed() > Duration::from_secs(20) {
                return Err(error.into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(client)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn free_url() -> std::io::Result<String> {
    Ok(format!(
        "http://{}",
        StdListener::bind("127.0.0.1:0")?.local_addr()?
    ))
}
