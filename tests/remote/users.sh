# An sshd on 127.0.0.1:$2 that knows users, passwords and sudo rules of its own. Everything is laid over the machine's files in a mount
# namespace of its own, and gone with it. $1 is an empty directory, $3 a public key.
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc
mount -t tmpfs tmpfs /home
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
for user in admin nopass deploy; do
  useradd -m -s /bin/bash "$user"
  echo "$user:secret-of-$user" | chpasswd
done
echo root:secret-of-root | chpasswd
rm -rf /etc/sudoers.d
cat >/etc/sudoers <<SUDOERS
Defaults env_reset, timestamp_timeout=0, lecture=always, passwd_tries=3
Defaults:admin use_pty
root ALL=(ALL:ALL) ALL
admin ALL=(ALL:ALL) ALL
nopass ALL=(ALL:ALL) NOPASSWD: ALL
SUDOERS
chmod 440 /etc/sudoers
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/of_test
cp /etc/ssh/of_test.pub "$1/../host.pub"
echo "$3" >/etc/ssh/keys_of_test
cat >/etc/ssh/sshd_of_test <<SSHD
ListenAddress 127.0.0.1:$2
HostKey /etc/ssh/of_test
UsePAM yes
PermitRootLogin yes
AuthorizedKeysFile /etc/ssh/keys_of_test
PidFile none
LogLevel ERROR
$4
SSHD
exec /usr/sbin/sshd -D -e -f /etc/ssh/sshd_of_test
