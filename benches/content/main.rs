//! Writes content of kubespray's size into a folder, for `make bench`: content FOLDER

#[path = "mod.rs"]
mod content;

fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os().nth(1).ok_or_else(|| anyhow::anyhow!("usage: content FOLDER"))?;
    let written = content::write(folder.as_ref())?;
    eprintln!("content: {} tasks, {} expressions", written.tasks, written.expressions);
    Ok(())
}
