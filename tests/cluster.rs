//! The main job: two lab hosts become a Kubernetes cluster over SSH, with real kubeadm, kubelet and etcd; the run is killed in its two most delicate
//! moments and started again; pods talk across hosts; a further run changes nothing.

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use support::{Lab, has_kubernetes, nodewright, project, said, skip, text, total};

#[test]
fn two_hosts_become_a_cluster() {
    if !has_kubernetes() {
        return skip(
            "two_hosts_become_a_cluster",
            "Kubernetes' binaries are not at hand (NODEWRIGHT_KUBERNETES=FILE); building them takes nine minutes",
        );
    }
    let lab = match Lab::up("test", &["--packages", "mirror"]) {
        Ok(lab) => lab,
        Err(why) => return skip("two_hosts_become_a_cluster", &why),
    };
    println!("stand-ins for CRI-O, crictl, Flannel, CoreDNS and nginx; Kubernetes itself is real");
    for moment in ["Run kubeadm init", "Run kubeadm join"] {
        kill_when(&lab, moment);
    }
    let finished = run(&lab);
    assert_eq!(total(&finished, "failed") + total(&finished, "unreachable"), 0, "{finished}");

    let nodes = text(&lab.on("node-1", "kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes --no-headers").stdout);
    assert_eq!(nodes.lines().filter(|line| line.contains(" Ready ")).count(), 2, "{nodes}");

    let again = run(&lab);
    assert_eq!((total(&again, "changed"), total(&again, "failed"), total(&again, "unreachable")), (0, 0, 0), "{again}");
}

/// Starts the run and kills it with SIGKILL as soon as the task whose name holds `task` has begun on a host.
fn kill_when(lab: &Lab, task: &str) {
    let mut child = nodewright()
        .args(["run", "playbooks/cluster.yaml", "--output", "json", "-i"])
        .arg(lab.inventory())
        .current_dir(project())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let stdout = child.stdout.take().expect("stdout is piped");
    let mut wanted = None;
    let mut reached = false;
    for line in BufReader::new(stdout).lines() {
        let line = line.expect("events are text");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|err| panic!("{err} in {line}"));
        let number = event["task"].as_u64();
        match event["event"].as_str() {
            Some("task_started") if event["name"].as_str().is_some_and(|name| name.contains(task)) => wanted = number,
            // The task's own output shows that it is under way on the host.
            Some("host_output") if wanted.is_some() && number == wanted => {
                reached = true;
                break;
            }
            _ => {}
        }
    }
    child.kill().expect("the run can be killed");
    child.wait().expect("the run has ended");
    assert!(reached, "no task `{task}` was seen at work");
}

fn run(lab: &Lab) -> String {
    let output = nodewright()
        .args(["run", "playbooks/cluster.yaml", "-i"])
        .arg(lab.inventory())
        .current_dir(project())
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "the run failed\n{}", said(&output));
    text(&output.stdout)
}
