//! Where fleetd keeps what it needs: the machine's places, or those of the user whose systemd it works with.
//!
//! The user's are those of the XDG base directory specification, beside what systemd itself has there.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::config::Config;

/// Paths that no option sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Held while fleetd runs: one a machine, or a user.
    pub lock: PathBuf,
    /// The API's socket where systemd hands none over.
    pub socket: PathBuf,
    /// Which units have been launched since the boot.
    pub marks: PathBuf,
    /// Where systemd looks for units that a reboot takes away.
    pub runtime_units: PathBuf,
}

impl Places {
    /// The places for a configuration; options that are left at the machine's own directories are set to the user's
    /// when `systemd_user` is.
    ///
    /// # Errors
    /// The user has no runtime directory, or no home.
    pub fn settle(
        config: &mut Config,
        variable: impl Fn(&str) -> Option<PathBuf>,
    ) -> anyhow::Result<Places> {
        if !config.systemd_user {
            return Ok(Places {
                lock: "/run/fleet/fleetd.lock".into(),
                socket: crate::sockets::DEFAULT_SOCKET.into(),
                marks: "/run/fleet/launched".into(),
                runtime_units: "/run/systemd/system".into(),
            });
        }
        let Some(run) = variable("XDG_RUNTIME_DIR") else {
            bail!(
                "option systemd_user: XDG_RUNTIME_DIR is not set: run fleetd as a service of the user's systemd"
            );
        };
        let home = variable("HOME").context("option systemd_user: HOME is not set")?;
        let base =
            |name: &str, otherwise: &str| variable(name).unwrap_or_else(|| home.join(otherwise));
        let state = base("XDG_STATE_HOME", ".local/state").join("fleet");
        let standard = Config::default();
        let own = |option: &mut PathBuf, standard: &Path, own: PathBuf| {
            if option == standard {
                *option = own;
            }
        };
        let units = base("XDG_CONFIG_HOME", ".config").join("systemd/user");
        own(
            &mut config.units_directory,
            &standard.units_directory,
            units,
        );
        own(
            &mut config.state_directory,
            &standard.state_directory,
            state.join("units"),
        );
        own(
            &mut config.store_dir,
            &standard.store_dir,
            state.join("store"),
        );
        Ok(Places {
            lock: run.join("fleet/fleetd.lock"),
            socket: run.join("fleet.sock"),
            marks: run.join("fleet/launched"),
            runtime_units: run.join("systemd/user"),
        })
    }
}

/// A variable of the environment that is an absolute path; others count as not set, as the specification has it.
pub fn variable(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(name)?);
    path.is_absolute().then_some(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn environment(name: &str) -> Option<PathBuf> {
        match name {
            "XDG_RUNTIME_DIR" => Some("/run/user/500".into()),
            "HOME" => Some("/home/core".into()),
            "XDG_STATE_HOME" => Some("/srv/state".into()),
            _ => None,
        }
    }

    #[test]
    fn a_machines_fleetd_is_where_it_always_was() {
        let mut config = Config::default();
        let places = Places::settle(&mut config, |_| None).unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(places.socket, Path::new("/var/run/fleet.sock"));
    }

    #[test]
    fn a_users_fleetd_keeps_to_the_users_places_unless_options_say_otherwise() {
        let mut config = Config {
            systemd_user: true,
            store_dir: "/data/store".into(),
            ..Config::default()
        };
        let places = Places::settle(&mut config, environment).unwrap();
        assert_eq!(
            config.units_directory,
            Path::new("/home/core/.config/systemd/user")
        );
        assert_eq!(config.state_directory, Path::new("/srv/state/fleet/units"));
        assert_eq!(config.store_dir, Path::new("/data/store"));
        assert_eq!(places.lock, Path::new("/run/user/500/fleet/fleetd.lock"));
    }

    #[test]
    fn a_user_without_a_runtime_directory_is_told() {
        let mut config = Config {
            systemd_user: true,
            ..Config::default()
        };
        let error = Places::settle(&mut config, |_| None).unwrap_err();
        assert!(
            error.to_string().contains("XDG_RUNTIME_DIR is not set"),
            "{error}"
        );
    }
}
