//! Actions that take their time: `pause`, and those that a connection does not outlive: `wait_for_connection` and `reboot`.

use super::actions::Action;
use super::execute::{Executed, Trouble};
use super::wire::Wire;
use crate::module::{Args, Failure};
use crate::remote::{Connection, Run as Running, RunError};
use crate::report::Event;
use crate::sh::Script;
use crate::source::Diag;
use std::time::{Duration, Instant};

/// A time as modules return it.
fn time_text(time: &jiff::Zoned) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

/// A reboot that was set off.
struct Started {
    /// The boot time that the host said before it.
    before: Vec<u8>,
    /// By which job, where that is kept account of.
    job: Option<String>,
}

impl Action<'_> {
    /// Waits for a time. With neither time nor terminal there is nobody to wait for, and it goes on with a warning.
    pub async fn pause(&self) -> Result<Executed, Diag> {
        use std::io::{BufRead, IsTerminal, Write};
        let args = self.args()?;
        let started = Instant::now();
        let mut executed = Executed::default();
        let seconds = match (args.int("seconds"), args.int("minutes")) {
            (Some(_), Some(_)) => return Err(Diag::error("`pause` takes `seconds` or `minutes`, not both").at(&self.task_run.task().span)),
            (Some(seconds), None) => Some(seconds),
            (None, Some(minutes)) => Some(minutes * 60),
            (None, None) => None,
        };
        let echo = args.bool("echo").unwrap_or(true);
        match seconds {
            Some(seconds) => {
                // As in Ansible, there is no shorter pause.
                let seconds = seconds.max(1);
                self.task_run.playing.run.emit(Event::Asked { question: format!("Pausing for {seconds} seconds") });
                tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
            }
            None if std::io::stdin().is_terminal() => {
                let words = args.str("prompt").unwrap_or("Press enter to continue, Ctrl+C to interrupt").to_owned();
                let answer = tokio::task::spawn_blocking(move || {
                    if !echo {
                        let answer = crate::ask::hidden(&format!("{words}: "))?;
                        crate::secrets::register(&answer);
                        return Ok(answer.to_string());
                    }
                    let _open = crate::ask::Question::open();
                    write!(std::io::stderr(), "{words}: ")?;
                    let mut line = String::new();
                    std::io::stdin().lock().read_line(&mut line)?;
                    Ok(line.trim_end().to_owned())
                });
                let answer = answer
                    .await
                    .map_err(|err| err.to_string())
                    .and_then(|answer: std::io::Result<String>| answer.map_err(|err| err.to_string()));
                executed
                    .data
                    .insert("user_input".into(), answer.map_err(|err| Diag::error(format!("cannot read the answer: {err}")))?.into());
            }
            None => self.task_run.playing.run.warn("Not waiting for response to prompt as stdin is not interactive"),
        }
        executed.data.entry("user_input").or_insert_with(|| "".into());
        let elapsed = started.elapsed();
        let (amount, unit) = match args.int("seconds") {
            Some(_) => (elapsed.as_secs_f64(), "seconds"),
            None => (elapsed.as_secs_f64() / 60.0, "minutes"),
        };
        let stopped = jiff::Zoned::now();
        executed
            .data
            .insert("start".into(), time_text(&(stopped.clone() - jiff::SignedDuration::try_from(elapsed).unwrap_or_default())).into());
        executed.data.insert("stop".into(), time_text(&stopped).into());
        executed.data.insert("stdout".into(), format!("Paused for {:?} {unit}", (amount * 100.0).round() / 100.0).into());
        executed.data.insert("stderr".into(), "".into());
        executed.data.insert("delta".into(), elapsed.as_secs().into());
        executed.data.insert("echo".into(), echo.into());
        executed.data.insert("rc".into(), 0.into());
        Ok(executed)
    }

    pub async fn wait_for_connection(&self) -> Result<Executed, Diag> {
        let args = self.args()?;
        let started = Instant::now();
        let _waiting = self.task_run.waiting(&self.place.target);
        tokio::time::sleep(seconds(&args, "delay", 0)).await;
        match self.reconnect(started + seconds(&args, "timeout", 600), seconds(&args, "sleep", 1)).await {
            Ok(_) => {
                let mut executed = Executed::default();
                executed.data.insert("elapsed".into(), started.elapsed().as_secs().into());
                Ok(executed)
            }
            Err(err) => {
                let mut executed = Executed::failed(format!("timed out waiting for ping module test: {err}"));
                executed.data.insert("elapsed".into(), started.elapsed().as_secs().into());
                Ok(executed)
            }
        }
    }

    /// Connects anew and runs a trifle, again and again until it works or the time is over.
    async fn reconnect(&self, deadline: Instant, pause: Duration) -> Result<Connection, String> {
        let connections = &self.task_run.playing.run.connections;
        loop {
            let tried = match connections.to(&self.place.target).await {
                Ok(connection) => match connection.probe(Script::new(":"), self.running()).await {
                    Ok(_) => return Ok(connection),
                    Err(err) => super::chain(&err),
                },
                // A wrong key or password does not mend itself.
                Err(err) if !err.is_transient() => return Err(super::chain(&err)),
                Err(err) => super::chain(&err),
            };
            if Instant::now() + pause > deadline {
                return Err(tried);
            }
            connections.drop(&self.place.target).await;
            tokio::time::sleep(pause.max(Duration::from_millis(200))).await;
        }
    }

    /// Reboots the host, waits until it has come up another time, and until it can be worked with.
    pub async fn reboot(&self) -> Result<Executed, Diag> {
        let args = self.args()?;
        let mut executed = Executed { changed: true, ..Executed::default() };
        executed.data.insert("rebooted".into(), true.into());
        if self.checks()? {
            return Ok(executed);
        }
        if self.place.target.transport == crate::remote::Transport::Local {
            return Ok(Executed::failed("Running reboot with local connection would reboot the control node."));
        }
        let started = Instant::now();
        let _waiting = self.task_run.waiting(&self.place.target);
        let delay = seconds(&args, "pre_reboot_delay", 0);
        let deadline = started + seconds(&args, "reboot_timeout", 600) + delay;
        let boot_time = Script::new(args.str("boot_time_command").unwrap_or_default());
        let words = crate::sh::quote(args.str("msg").unwrap_or_default()).into_owned();
        // Whoever is logged in is told, if the host has a way to.
        let default = format!(
            "if command -v wall >/dev/null; then wall {words}; fi; if [ -d /run/systemd/system ]; then systemctl reboot; else reboot; fi"
        );
        let command = args.str("reboot_command").unwrap_or(&default);
        let Started { before, job } = match self.start_reboot(&boot_time, command, delay, deadline).await {
            Ok(started) => started,
            Err(trouble) => return Ok(Executed::of_trouble(self.task_run.task(), trouble)),
        };
        let ended = match self.until_rebooted(&boot_time, &before, deadline).await {
            Ok(()) => {
                tokio::time::sleep(seconds(&args, "post_reboot_delay", 0)).await;
                self.until_usable(args.str("test_command").unwrap_or("whoami"), deadline).await
            }
            Err(why) => Err(why),
        };
        executed.data.insert("elapsed".into(), started.elapsed().as_secs().into());
        if let Err(why) = ended {
            executed.failed = true;
            executed.data.insert("msg".into(), why.into());
        } else if let Ok(wire) = Wire::open(self.task_run, self.place, self.view).await {
            self.task_run.saw_end(&wire, job);
        }
        Ok(executed)
    }

    /// Sets the reboot off, by a job: however often the connection is lost or the run goes on, it is set off once. Where an earlier life of the
    /// run may have done so, the boot time before is the one that it was told.
    async fn start_reboot(&self, boot_time: &Script, command: &str, delay: Duration, deadline: Instant) -> Result<Started, Trouble> {
        let known = self.task_run.turn.probed();
        if known.is_some() {
            // The host may be on its way down or up.
            self.reconnect(deadline, Duration::from_millis(500)).await.map_err(Trouble::Unreachable)?;
        }
        let wire = Wire::open(self.task_run, self.place, self.view).await?;
        let now = wire.ask(boot_time.clone()).await?;
        if !now.success() {
            return Err(Failure::script("reading the boot time", &now).into());
        }
        let before = known.unwrap_or_else(|| now.clone());
        let job = self.task_run.name_job(self.place, Some(&before), self.view)?;
        let id = job.as_ref().map(|job| job.id.clone());
        if now.stdout != before.stdout {
            return Ok(Started { before: before.stdout, job: id });
        }
        // The command outlives the job that starts it: the host goes away under it.
        let start = format!(
            "command -v setsid >/dev/null || exit 127\nsetsid sh -c 'sleep \"$1\"; eval \"$2\"' sh {} {} >/dev/null 2>&1 </dev/null &\n",
            delay.as_secs(),
            crate::sh::quote(command)
        );
        self.task_run.playing.run.ahead.something_changes();
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, wire.apply(Script::new(start), job)).await {
            Ok(Ok(output)) if output.status == 127 => {
                Err(Failure::new("the host has no setsid, by which the reboot would be started").into())
            }
            // With no delay the host may be gone before it can answer.
            Ok(Ok(_) | Err(RunError::Gone { .. } | RunError::Lost(_))) | Err(_) => Ok(Started { before: before.stdout, job: id }),
            Ok(Err(err)) => Err(err.into()),
        }
    }

    /// Waits until the host answers with another boot time.
    async fn until_rebooted(&self, boot_time: &Script, before: &[u8], deadline: Instant) -> Result<(), String> {
        loop {
            self.task_run.playing.run.connections.drop(&self.place.target).await;
            let connection = self.reconnect(deadline, Duration::from_millis(500)).await;
            let connection = connection.map_err(|err| format!("Timed out waiting for last boot time check: {err}"))?;
            match connection.probe(boot_time.clone(), self.running()).await {
                Ok(output) if output.success() && output.stdout != before => return Ok(()),
                _ if Instant::now() > deadline => return Err("the host did not reboot in time".to_owned()),
                _ => tokio::time::sleep(Duration::from_millis(300)).await,
            }
        }
    }

    /// Waits until a command succeeds on the host.
    async fn until_usable(&self, command: &str, deadline: Instant) -> Result<(), String> {
        loop {
            let answered = match self.reconnect(deadline, Duration::from_millis(500)).await {
                Ok(connection) => connection.probe(Script::new(command), self.running()).await.map_err(|err| super::chain(&err)),
                Err(err) => Err(err),
            };
            match answered {
                Ok(output) if output.success() => return Ok(()),
                _ if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(500)).await,
                Ok(output) => return Err(Failure::script("the test command after the reboot", &output).message),
                Err(err) => return Err(err),
            }
        }
    }

    fn running(&self) -> Running {
        Running {
            r#become: self.place.r#become.clone(),
            timeout: Some(Duration::from_secs(60)),
            title: self.task_run.name.clone(),
            ..Running::default()
        }
    }
}

/// An argument that is a number of seconds.
fn seconds(args: &Args, name: &str, default: i64) -> Duration {
    Duration::from_secs(args.int(name).unwrap_or(default).max(0) as u64)
}
