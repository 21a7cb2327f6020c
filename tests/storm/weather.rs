//! What happens to the processes while the clients work: each event, and when, is drawn from the seed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::account::Account;
use crate::client::connection::Life;
use crate::client::{Client, Field};
use crate::config::{self, Look};
use crate::event::Event;
use crate::keeper::Keeper;
use crate::plan::{DRAIN, Faults, Guard, Plan};
use crate::processes::{Origin, Proxy, fixed_port, signal};

/// Time for a proxy to end after its drain: saving a ledger, and a machine that is busy.
const ENDING: Duration = Duration::from_secs(20);
/// What a ledger holds in some lives, so that it forgets all the time; and in others.
const SIZES: [u32; 4] = [4, 64, ROOMY, ROOMY];
/// Nothing is ever forgotten.
const ROOMY: u32 = 1_000_000;

/// The processes of a storm.
pub struct World {
    plan: Plan,
    folder: PathBuf,
    binary: PathBuf,
    seed: u64,
    chance: StdRng,
    port: u16,
    look: Look,
    /// `max_resources` of the life that runs, or will.
    size: u32,
    keeper: Keeper,
    field: Arc<Field>,
    origin: Option<Origin>,
    proxy: Option<Proxy>,
    life: Life,
    pub account: Account,
}

impl World {
    /// Starts the first life of each process.
    pub fn start(
        plan: &Plan,
        folder: PathBuf,
        binary: PathBuf,
        seed: u64,
        field: Arc<Field>,
    ) -> io::Result<Self> {
        let port = fixed_port(seed)?;
        let keeper = Keeper::new(Client::new(plan.clients + 1, seed, field.clone(), &folder)?, field.shared);
        let mut world = World {
            plan: plan.clone(),
            folder,
            binary,
            seed,
            chance: StdRng::seed_from_u64(seed ^ 0x57_0F_4D),
            port,
            look: Look::default(),
            size: plan.max_resources.unwrap_or(ROOMY),
            keeper,
            field,
            origin: None,
            proxy: None,
            life: Life { number: 0, address: ([127, 0, 0, 1], port).into(), fresh_since: 0 },
            account: Account::default(),
        };
        world.look.alone = world.chance.random_bool(0.5);
        world.start_origin()?;
        world.write_config()?;
        world.start_proxy()?;
        Ok(world)
    }

    pub fn proxy(&mut self) -> Option<&mut Proxy> {
        self.proxy.as_mut()
    }

    /// How long the weather stays as it is.
    pub fn calm_for(&mut self) -> Duration {
        let longest = match self.plan.faults {
            Faults::Kill => 3_000,
            Faults::All | Faults::NoRestarts => 2_500,
        };
        Duration::from_millis(self.chance.random_range(100..longest))
    }

    /// Lets something happen.
    pub fn change(&mut self) -> io::Result<()> {
        self.notice_end()?;
        let event = Event::draw(self.plan.faults, &mut self.chance);
        *self.account.events.entry(event.name()).or_default() += 1;
        match event {
            Event::OriginKilled => {
                if let Some(origin) = self.origin.take() {
                    origin.kill()?;
                }
                self.wait(0..300);
                self.start_origin()
            }
            // Short beside what settle leaves beyond the origin's own limit.
            Event::OriginFrozen => self.freeze(self.origin.as_ref().map(Origin::pid), 20..150),
            Event::ProxyFrozen => self.freeze(self.proxy.as_ref().map(Proxy::pid), 50..1_500),
            Event::ProxyKilled => {
                self.end_proxy(|proxy| proxy.signal("KILL"), None)?;
                self.restart_proxy()
            }
            Event::ProxyStopped => self.restart_cleanly(),
            Event::ProxyStoppedAndKilled => {
                let soon = Duration::from_millis(self.chance.random_range(0..500));
                let both = |proxy: &mut Proxy| {
                    proxy.signal("TERM")?;
                    std::thread::sleep(soon);
                    // It may have ended already, and saved its ledger.
                    if proxy.has_ended()?.is_none() { proxy.signal("KILL") } else { Ok(()) }
                };
                self.end_proxy(both, None)?;
                self.restart_proxy()
            }
            Event::Reload => self.reload(),
            Event::BadReload => self.reload_badly(),
        }
    }

    /// No more trouble from here on.
    pub fn calm(&mut self) -> io::Result<()> {
        self.notice_end()?;
        self.origin.as_mut().map_or(Ok(()), Origin::calm)
    }

    /// Ends the last life of the proxy, which is to end well.
    pub fn end(&mut self) -> io::Result<()> {
        self.end_proxy(|proxy| proxy.signal("TERM"), Some(DRAIN + ENDING))?;
        if let Some(origin) = self.origin.take() {
            origin.kill()?;
        }
        Ok(())
    }

    fn start_origin(&mut self) -> io::Result<()> {
        self.origin = Some(Origin::start(self.port, &self.folder, self.account.origin_lives, self.seed)?);
        self.account.origin_lives += 1;
        Ok(())
    }

    fn start_proxy(&mut self) -> io::Result<()> {
        let number = self.account.proxy_lives;
        let log = self.folder.join(format!("proxy-{number:05}.log"));
        let proxy = Proxy::start(&self.binary, &self.folder.join("ifmatch.toml"), log)?;
        let fresh_since = if proxy.carries_on { self.life.fresh_since } else { number };
        self.life = Life { number, address: proxy.public, fresh_since };
        self.account.carried_on += u32::from(proxy.carries_on);
        self.account.proxy_lives += 1;
        self.field.lives.tell(Some(self.life));
        self.proxy = Some(proxy);
        Ok(())
    }

    fn restart_proxy(&mut self) -> io::Result<()> {
        let drawn = *SIZES.choose(&mut self.chance).unwrap_or(&ROOMY);
        self.size = self.plan.max_resources.unwrap_or(drawn);
        self.write_config()?;
        self.start_proxy()
    }

    /// Under load; the tag of a resource that nobody else writes to has to be good in the next life.
    fn restart_cleanly(&mut self) -> io::Result<()> {
        let was_roomy = self.size == ROOMY;
        let has_tag = self.plan.guard == Guard::On && self.keeper.take_tag();
        self.end_proxy(|proxy| proxy.signal("TERM"), Some(DRAIN + ENDING))?;
        self.restart_proxy()?;
        if !has_tag || !was_roomy || self.size != ROOMY {
            return Ok(());
        }
        let (good, unknown) = &mut self.account.kept_tags;
        match self.keeper.present_tag() {
            Some(true) => *good += 1,
            None => *unknown += 1,
            Some(false) => self.account.broken.push(format!(
                "the tag of a resource that nobody wrote to was refused after a clean restart, in life {}",
                self.life.number
            )),
        }
        Ok(())
    }

    /// Ends a life of the proxy. One that is told to stop has to end well, within its time.
    fn end_proxy(
        &mut self,
        how: impl FnOnce(&mut Proxy) -> io::Result<()>,
        well_within: Option<Duration>,
    ) -> io::Result<()> {
        self.field.lives.tell(None);
        let Some(mut proxy) = self.proxy.take() else { return Ok(()) };
        self.account.take_leave_of(&proxy);
        how(&mut proxy)?;
        let number = self.life.number;
        let ended = proxy.await_end(well_within.unwrap_or(ENDING))?;
        if well_within.is_some() && !ended.is_some_and(|status| status.success()) {
            self.account
                .broken
                .push(format!("life {number} of the proxy was told to stop, and ended with {ended:?}"));
        }
        self.account.hear(&proxy);
        Ok(())
    }

    /// A proxy never ends by itself.
    fn notice_end(&mut self) -> io::Result<()> {
        let Some(ended) = self.proxy.as_mut().map_or(Ok(None), Proxy::has_ended)? else { return Ok(()) };
        let number = self.life.number;
        self.account.broken.push(format!("life {number} of the proxy ended by itself: {ended}"));
        self.end_proxy(|_| Ok(()), None)?;
        self.restart_proxy()
    }

    fn reload(&mut self) -> io::Result<()> {
        self.look.access_log = self.chance.random_bool(0.2);
        self.look.extra_route = !self.look.extra_route;
        self.look.renamed = self.plan.rename && self.chance.random_bool(0.5);
        self.look.alone = self.chance.random_bool(0.5);
        self.write_config()?;
        self.hang_up()
    }

    fn reload_badly(&mut self) -> io::Result<()> {
        let bad =
            *["listen = 7\n", "[[routes]]\nname = \"x\"\n", "\u{0}"].choose(&mut self.chance).unwrap_or(&"");
        config::replace(&self.folder.join("ifmatch.toml"), bad)?;
        self.hang_up()?;
        self.wait(50..200);
        self.write_config()
    }

    fn hang_up(&mut self) -> io::Result<()> {
        self.proxy.as_ref().map_or(Ok(()), |proxy| proxy.signal("HUP"))
    }

    fn write_config(&self) -> io::Result<()> {
        let text = config::text(self.plan.guard, self.port, &self.folder, self.size, self.look);
        config::replace(&self.folder.join("ifmatch.toml"), &text)
    }

    fn freeze(&mut self, pid: Option<u32>, millis: std::ops::Range<u64>) -> io::Result<()> {
        let Some(pid) = pid else { return Ok(()) };
        signal(pid, "STOP")?;
        self.wait(millis);
        signal(pid, "CONT")
    }

    fn wait(&mut self, millis: std::ops::Range<u64>) {
        std::thread::sleep(Duration::from_millis(self.chance.random_range(millis)));
    }

    /// How many of its kind were acknowledged so far, for a line about the progress.
    pub fn progress(&self) -> String {
        format!(
            "{} writes acknowledged, {} lives of the proxy, {} of the origin",
            self.field.acknowledged.load(Ordering::Relaxed),
            self.account.proxy_lives,
            self.account.origin_lives
        )
    }
}
