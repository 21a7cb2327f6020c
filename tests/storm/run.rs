//! A storm from its first process to its verdict.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::check::{self, Checker, Findings, Remembered};
use crate::client::connection::Lives;
use crate::client::spelling::Resource;
use crate::client::tally::Tally;
use crate::client::{Client, Field};
use crate::plan::{Faults, Guard, Plan, SETTLE};
use crate::report::Report;
use crate::watch::{Trend, Watch};
use crate::weather::World;

/// Gauges that are at zero when nobody is there.
const AT_REST: [&str; 4] = [
    "ifmatch_writes_in_flight",
    "ifmatch_writes_waiting",
    "ifmatch_requests_in_flight",
    "ifmatch_client_connections",
];
/// How often a lost update's whole story is told.
const STORIES: usize = 3;

/// Runs a storm and tells what came of it; whether all is as it must be.
pub fn storm(plan: &Plan) -> io::Result<bool> {
    let seed = plan.seed.unwrap_or_else(rand::random);
    let folder = std::env::temp_dir().join(format!("ifmatch-storm-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    eprintln!("seed {seed}; logs in {}", folder.display());
    let resources = plan.resources.max(1);
    let field = Arc::new(Field {
        lives: Lives::default(),
        resources: (0..resources).map(Resource::nth).chain([Resource::quiet(resources)]).collect(),
        shared: resources as usize,
        guarded: plan.guard == Guard::On,
        over: AtomicBool::new(false),
        acknowledged: AtomicU64::new(0),
    });
    let mut world = World::start(plan, folder.clone(), binary(plan)?, seed, field.clone())?;
    let began = Instant::now();
    let clients = start_clients(plan, seed, &folder, &field)?;
    let mut watch = Watch::default();
    blow(plan, &mut world, &mut watch)?;
    world.calm()?;
    field.over.store(true, Ordering::Relaxed);
    let mut tally = join(clients)?;
    let seconds = began.elapsed().as_secs();
    tally.add(look_afterwards(plan, seed, &folder, &field, &mut world)?);
    world.end()?;
    let trend = watch.trend().filter(|_| plan.faults == Faults::NoRestarts);
    conclude(plan, &folder, (seed, seconds), &tally, &world.account, trend)
}

/// Checks what was written down, and tells everything.
fn conclude(
    plan: &Plan,
    folder: &Path,
    (seed, seconds): (u64, u64),
    tally: &Tally,
    account: &Account,
    trend: Option<Trend>,
) -> io::Result<bool> {
    let remembered = Remembered { acknowledged: &tally.acknowledged, with_dead_tags: &tally.with_dead_tags };
    let findings = Checker::check_folder(folder, account.origin_lives, remembered)?;
    let report = Report { plan, seed, seconds, findings: &findings, tally, account, trend };
    report.print();
    tell_stories(plan, folder, &findings, account.origin_lives)?;
    let wrong = report.wrong();
    for what in &wrong {
        println!("WRONG: {what}");
    }
    let good = wrong.is_empty();
    let verdict = if good { "The storm is over, and all is as it must be" } else { "FAILED" };
    println!("{verdict} (seed {seed})");
    if good && !plan.keep {
        fs::remove_dir_all(folder)?;
    } else {
        println!("Logs: {}", folder.display());
    }
    Ok(good)
}

fn binary(plan: &Plan) -> io::Result<PathBuf> {
    if let Some(path) = &plan.proxy {
        return path.canonicalize();
    }
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent);
    let beside = folder.map(|folder| folder.join("ifmatch")).filter(|path| path.exists());
    beside
        .ok_or_else(|| io::Error::other("there is no ifmatch beside this program; build it, or give --proxy"))
}

fn start_clients(
    plan: &Plan,
    seed: u64,
    folder: &Path,
    field: &Arc<Field>,
) -> io::Result<Vec<JoinHandle<Tally>>> {
    (0..plan.clients)
        .map(|number| {
            let client = Client::new(number, seed, field.clone(), folder)?;
            Ok(std::thread::spawn(move || client.run()))
        })
        .collect()
}

fn join(clients: Vec<JoinHandle<Tally>>) -> io::Result<Tally> {
    let mut all = Tally::default();
    for client in clients {
        all.add(client.join().map_err(|_| io::Error::other("a client panicked"))?);
    }
    Ok(all)
}

/// The storm itself: the weather changes until its time is over, or until the last kill.
fn blow(plan: &Plan, world: &mut World, watch: &mut Watch) -> io::Result<()> {
    let began = Instant::now();
    let mut next_event = began + world.calm_for();
    let mut next_look = began;
    let mut next_line = began + Duration::from_secs(10);
    loop {
        let now = Instant::now();
        let over = match plan.faults {
            Faults::Kill => world.account.event_count("proxy: kill -9") >= u64::from(plan.kills),
            Faults::All | Faults::NoRestarts => now - began >= Duration::from_secs(plan.seconds),
        };
        if over {
            return Ok(());
        }
        if now >= next_event {
            world.change()?;
            next_event = Instant::now() + world.calm_for();
        }
        if now >= next_look && plan.faults == Faults::NoRestarts {
            if let Some(proxy) = world.proxy() {
                watch.look(proxy.pid())?;
            }
            next_look = now + Duration::from_secs(1);
        }
        if now >= next_line {
            eprintln!("{:>6}s {}", (now - began).as_secs(), world.progress());
            next_line = now + Duration::from_secs(10);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// After the storm: every resource can be written again, and nothing is held any more.
fn look_afterwards(
    plan: &Plan,
    seed: u64,
    folder: &Path,
    field: &Arc<Field>,
    world: &mut World,
) -> io::Result<Tally> {
    std::thread::sleep(SETTLE + SETTLE / 2);
    let mut client = Client::new(plan.clients, seed, field.clone(), folder)?;
    client.well_behaved = true;
    for (at, resource) in field.resources.iter().enumerate() {
        if !client.write_at_last(at, 100) {
            world.account.broken.push(format!("{} cannot be written after the storm", resource.name()));
        }
    }
    let tally = std::mem::take(&mut client.tally);
    drop(client);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let metrics = world.proxy().and_then(|proxy| proxy.metrics());
        let value = |gauge| metrics.as_ref().and_then(|metrics| metrics.sum(gauge));
        let held: Vec<String> = AT_REST
            .iter()
            .filter(|gauge| value(gauge) != Some(0.0))
            .map(|gauge| format!("{gauge} is {:?} after the storm, and stays so", value(gauge)))
            .collect();
        if held.is_empty() {
            break;
        }
        if Instant::now() > deadline {
            world.account.broken.extend(held);
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(tally)
}

fn tell_stories(plan: &Plan, folder: &Path, findings: &Findings, origin_lives: u32) -> io::Result<()> {
    if plan.guard == Guard::Off {
        return Ok(());
    }
    // Two clients are the storm's own.
    let journals: Vec<PathBuf> =
        (0..plan.clients + 2).map(|client| Client::journal(folder, client)).collect();
    for loss in findings.lost.iter().take(STORIES) {
        println!("{}", check::tell(folder, origin_lives, &journals, loss)?);
    }
    Ok(())
}
