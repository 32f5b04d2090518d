//! A program that logs with `log` into files that are rotated.

use log::{LevelFilter, debug, info};
use log4rs::append::rolling_file::RollingFileAppender;
use log4rs::append::rolling_file::policy::compound::CompoundPolicy;
use log4rs::append::rolling_file::policy::compound::roll::fixed_window::FixedWindowRoller;
use log4rs::append::rolling_file::policy::compound::trigger::size::SizeTrigger;
use log4rs::config::{Appender, Config, Logger, Root};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let roller = FixedWindowRoller::builder().build("log/shop.{}.log", 8)?;
    let policy = CompoundPolicy::new(Box::new(SizeTrigger::new(8 << 20)), Box::new(roller));
    let file = RollingFileAppender::builder().build("log/shop.log", Box::new(policy))?;
    let config = Config::builder()
        .appender(Appender::builder().build("file", Box::new(file)))
        .logger(Logger::builder().build("shop::db", LevelFilter::Warn))
        .build(Root::builder().appender("file").build(LevelFilter::Debug))?;
    log4rs::init_config(config)?;
    info!(order = 4711; "accepted");
    debug!(target: "shop::db", "not logged");
    Ok(())
}
