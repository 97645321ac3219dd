//! A proxy in front of a database that loses connections, and single commands or their answers. It
//! reads the client's half of MySQL's protocol, which must not be encrypted.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{PATIENCE, listener, runtime};

/// Carries bytes until it is dropped, on a thread of its own: whatever the test's does.
pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
    orders: Option<mpsc::UnboundedSender<(Order, oneshot::Sender<()>)>>,
    thread: Option<JoinHandle<()>>,
}

/// A command that can be lost.
#[derive(Clone, Copy, Debug)]
pub enum Command {
    /// `COMMIT` as a text, alone or behind other statements.
    Commit,
    /// That a prepared statement be executed.
    Execute,
}

impl Proxy {
    /// In front of the database with this address.
    pub fn new(url: &str) -> Self {
        let (account, rest) = url.rsplit_once('@').expect("an account");
        let (target, database) = rest.split_once('/').expect("a database");
        let listener = listener();
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            target: target.parse().expect("an IP address and a port"),
            held: watch::Sender::new(false),
            losses: Mutex::default(),
        });
        let (orders, received) = mpsc::unbounded_channel();
        let serve = serve(Arc::clone(&shared), listener, received);
        Self {
            url: format!("{account}@{address}/{database}"),
            shared,
            orders: Some(orders),
            thread: Some(std::thread::spawn(|| runtime().block_on(serve))),
        }
    }

    /// The database's address, but by way of the proxy.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Cuts every connection. New ones are as welcome as before.
    pub async fn cut(&self) {
        self.order(Order::Cut).await;
    }

    /// Refuses new connections, as a machine does on which no server runs.
    pub async fn refuse(&self) {
        self.order(Order::Refuse).await;
    }

    /// Takes new connections behind [`refuse`](Self::refuse).
    pub async fn admit(&self) {
        self.order(Order::Admit).await;
    }

    /// Holds every byte back, in both directions. Connections stay, and new ones are taken.
    pub fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    /// Carries on behind [`hold`](Self::hold), and nothing is lost.
    pub fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// Keeps the next such command back until it is told to carry on with it. Other connections, and
    /// new ones, are carried as ever.
    pub fn keep_back(&self, command: Command) -> Kept {
        let (told, heard) = oneshot::channel();
        let (go_on, goes_on) = oneshot::channel();
        self.shared.await_one(Awaited { command, left: 1, loses: Loses::Time(goes_on), told });
        Kept { loss: Loss(heard), go_on }
    }

    /// Cuts the connection that sends the `nth` such command from now on, counted from 1 over all
    /// connections, before the server has got it.
    pub fn lose_command(&self, command: Command, nth: usize) -> Loss {
        self.lose(command, nth, Loses::Command)
    }

    /// As [`lose_command`](Self::lose_command), but when the server has done what it was told, and
    /// nothing of its answer has reached the client.
    pub fn lose_answer(&self, command: Command, nth: usize) -> Loss {
        self.lose(command, nth, Loses::Answer)
    }

    fn lose(&self, command: Command, left: usize, loses: Loses) -> Loss {
        assert!(left > 0, "the first is 1");
        let (told, heard) = oneshot::channel();
        self.shared.await_one(Awaited { command, left, loses, told });
        Loss(heard)
    }

    async fn order(&self, order: Order) {
        let (done, heard) = oneshot::channel();
        let orders = self.orders.as_ref().expect("not dropped yet");
        orders.send((order, done)).expect("its thread runs");
        heard.await.expect("its thread runs");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Without anybody who can order it about, its thread ends.
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// A loss that was asked for.
#[must_use = "a loss that never happens tests nothing"]
pub struct Loss(oneshot::Receiver<Result<(), String>>);

impl Loss {
    /// Waits until it has happened, and the connection is cut. Fails if the server has refused the
    /// command whose answer was to be lost: then it has done nothing.
    pub async fn happened(self) {
        let heard = timeout(PATIENCE, self.0).await.expect("the command comes in time");
        heard.expect("the connection ends by the loss").expect("the server does as it is told");
    }

    /// Whether it has happened by now, whatever the server's answer was.
    pub fn has_happened(mut self) -> bool {
        self.0.try_recv().is_ok()
    }
}

/// A command that is kept back.
#[must_use = "a command that is never kept back tests nothing"]
pub struct Kept {
    loss: Loss,
    go_on: oneshot::Sender<()>,
}

impl Kept {
    /// Waits until the command has come.
    pub async fn has_come(&mut self) {
        let heard = timeout(PATIENCE, &mut self.loss.0).await.expect("the command comes in time");
        heard.expect("it is told").expect("nothing can go wrong by then");
    }

    /// Carries on with it, if the server still has the connection open.
    pub fn carry_on(self) {
        self.go_on.send(()).ok();
    }
}

enum Order {
    Cut,
    Refuse,
    Admit,
}

struct Shared {
    target: SocketAddr,
    held: watch::Sender<bool>,
    losses: Mutex<Vec<Awaited>>,
}

/// What the proxy waits for to lose it.
struct Awaited {
    command: Command,
    /// How many such commands there are to come, that one among them.
    left: usize,
    loses: Loses,
    told: Told,
}

/// What becomes of a command.
enum Loses {
    /// The server does not get it.
    Command,
    /// The server gets it and does it.
    Answer,
    /// The server gets it only then.
    Time(oneshot::Receiver<()>),
}

type Told = oneshot::Sender<Result<(), String>>;

/// Why a connection has ended, if it was for a loss, and whom to tell.
type Lost = Option<(Told, Result<(), String>)>;

impl Shared {
    fn await_one(&self, awaited: Awaited) {
        self.losses.lock().expect("the losses").push(awaited);
    }

    /// The loss, if any, that waits for this command.
    fn loss(&self, packet: &[u8]) -> Option<Awaited> {
        let mut losses = self.losses.lock().expect("the losses");
        for loss in losses.iter_mut().filter(|loss| loss.command.is(packet)) {
            loss.left = loss.left.saturating_sub(1);
        }
        let due = losses.iter().position(|loss| loss.left == 0 && loss.command.is(packet))?;
        Some(losses.remove(due))
    }

    /// Waits while bytes are held back.
    async fn flows(&self) {
        self.held.subscribe().wait_for(|held| !held).await.expect("its sender is here");
    }
}

impl Command {
    /// Whether a packet of the client's is this command. Three bytes of length and a number come
    /// first, which is 0 where a command begins.
    fn is(self, packet: &[u8]) -> bool {
        match (self, packet) {
            (Self::Commit, [_, _, _, 0, 0x03, text @ ..]) => {
                let text = String::from_utf8_lossy(text);
                let statements = text.trim_end_matches([';', ' ', '\n']);
                let last = statements.rsplit(';').next().unwrap_or_default();
                last.trim().eq_ignore_ascii_case("COMMIT")
            }
            (Self::Execute, [_, _, _, 0, 0x17, ..]) => true,
            _ => false,
        }
    }
}

async fn serve(
    shared: Arc<Shared>,
    listener: std::net::TcpListener,
    mut orders: mpsc::UnboundedReceiver<(Order, oneshot::Sender<()>)>,
) {
    let address = listener.local_addr().expect("an address");
    let mut listener = Some(TcpListener::from_std(listener).expect("a listener"));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            client = accept(listener.as_ref()) => {
                let client = client.expect("a connection");
                connections.spawn(connection(Arc::clone(&shared), client));
            }
            order = orders.recv() => {
                let Some((order, done)) = order else { return };
                match order {
                    Order::Cut => connections.shutdown().await,
                    Order::Refuse => listener = None,
                    Order::Admit => {
                        listener = Some(bind_again(address).await);
                    }
                }
                done.send(()).ok();
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The port that the proxy has given up. Somebody else may have it for a moment.
async fn bind_again(address: SocketAddr) -> TcpListener {
    let bind = async {
        loop {
            match TcpListener::bind(address).await {
                Ok(listener) => return listener,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("its port: {error}"),
            }
        }
    };
    timeout(PATIENCE, bind).await.expect("its port is free again")
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

/// Carries a connection's bytes until one of its ends closes it, or it is cut. Without a server,
/// the client's is closed at once.
async fn connection(shared: Arc<Shared>, mut client: TcpStream) {
    let Ok(mut server) = TcpStream::connect(shared.target).await else { return };
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let lost = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let losing = Mutex::default();
        tokio::select! {
            lost = commands(&shared, from_client, to_server, &losing) => lost,
            lost = answers(&shared, from_server, to_client, &losing) => lost,
        }
    };
    drop((client, server));
    if let Ok(Some((told, result))) = lost {
        told.send(result).ok();
    }
}

/// Carries what the client says, packet by packet. Where an answer is to be lost, says so before
/// the command is on its way.
async fn commands(
    shared: &Shared,
    mut client: ReadHalf<'_>,
    mut server: WriteHalf<'_>,
    losing: &Mutex<Option<Told>>,
) -> io::Result<Lost> {
    let mut read = Vec::new();
    loop {
        while let Some(length) = packet(&read) {
            let packet = read.drain(..length).collect::<Vec<u8>>();
            shared.flows().await;
            if let Some(Awaited { loses, told, .. }) = shared.loss(&packet) {
                match loses {
                    Loses::Command => return Ok(Some((told, Ok(())))),
                    Loses::Answer => *losing.lock().expect("the loss") = Some(told),
                    Loses::Time(goes_on) => {
                        told.send(Ok(())).ok();
                        goes_on.await.ok();
                    }
                }
            }
            server.write_all(&packet).await?;
        }
        if client.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    }
}

/// Carries what the server says, but for an answer that is to be lost: it waits for that.
async fn answers(
    shared: &Shared,
    mut server: ReadHalf<'_>,
    mut client: WriteHalf<'_>,
    losing: &Mutex<Option<Told>>,
) -> io::Result<Lost> {
    loop {
        let mut read = Vec::with_capacity(16_384);
        if server.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
        let losing = losing.lock().expect("the loss").take();
        if let Some(told) = losing {
            while packet(&read).is_none() {
                if server.read_buf(&mut read).await? == 0 {
                    return Ok(None);
                }
            }
            // A refusal begins with this.
            let result = match &read[4..] {
                [0xff, why @ ..] => Err(String::from_utf8_lossy(why).into_owned()),
                _ => Ok(()),
            };
            return Ok(Some((told, result)));
        }
        shared.flows().await;
        client.write_all(&read).await?;
    }
}

/// How long the first packet is, once it is there as a whole.
fn packet(read: &[u8]) -> Option<usize> {
    let [low, middle, high, _, ..] = *read else { return None };
    let length = 4 + u32::from_le_bytes([low, middle, high, 0]) as usize;
    (read.len() >= length).then_some(length)
}
