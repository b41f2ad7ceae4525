# The checks of `site.yaml` written by hand, for `ssh HOST sudo sh -s ADDRESS < check.sh`. Nothing to be seen and exit 0: all is in place.
# Questions of a kind are asked with one command where one can answer them all.
n_wrong=0
wrong() {
  echo "changed: $*"
  n_wrong=$((n_wrong + 1))
}
same() { [ "$2" = "$3" ] || wrong "$1: $2"; }

# packages
same packages "$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' ca-certificates curl nis openssh-server sudo telnet 2>/dev/null |
  grep ' installed$')" "ca-certificates installed
curl installed
openssh-server installed
sudo installed"

# a user
same user "$(getent passwd deploy)" "deploy:x:4711:4711:Deployment:/home/deploy:/bin/bash"
case " $(id -Gn deploy) " in *' adm '*) ;; *) wrong groups ;; esac

# files and what templates made: kinds, modes and owners, then contents
same attributes "$(stat -c '%n %F %a %U %G' /etc/bench /srv/bench/releases /var/log/bench /srv/bench/current /etc/bench/state \
  /etc/security/limits.d/90-bench.conf /srv/bench/words /usr/local/bin/bench-report /etc/bench/app.conf /etc/bench/upstreams.conf \
  /etc/bench/limits.env /etc/systemd/system/bench.service)" "/etc/bench directory 750 root root
/srv/bench/releases directory 755 deploy deploy
/var/log/bench directory 770 root adm
/srv/bench/current symbolic link 777 root root
/etc/bench/state regular file 640 root root
/etc/security/limits.d/90-bench.conf regular file 644 root root
/srv/bench/words regular file 640 deploy deploy
/usr/local/bin/bench-report regular file 755 root root
/etc/bench/app.conf regular file 640 root root
/etc/bench/upstreams.conf regular file 644 root root
/etc/bench/limits.env regular file 644 root root
/etc/systemd/system/bench.service regular file 644 root root"
same link "$(readlink /srv/bench/current)" /srv/bench/releases
[ ! -e /etc/bench/old.conf ] || wrong /etc/bench/old.conf
sha256sum --status -c - <<END || wrong contents
5b4bc29f140e30c01417d810e700ecc54a84a0107566d84215b42e5742ef8d96  /etc/bench/state
eb47e7ae7c8fa53233a10f73a6a5d6da3a3acd4d456912a70eed0e6126795568  /etc/security/limits.d/90-bench.conf
47ce5f04b1afb3b52af0051a4ce2bdf134d669ba065871a94b8e29334bb9baa6  /srv/bench/words
53ab342017602ab66827bc838186abfe24e72a8e7b74d154bbd89596ea3798a7  /usr/local/bin/bench-report
99c37c0bc0f88013abfebf13ff221077dc10ba03fb7b208687f3277c3bbe8422  /etc/bench/upstreams.conf
ceb8afd9ae49c41a70dfaf317e988acd4f9a7d7a05a6d94bdb0525286c4add5e  /etc/bench/limits.env
5cf301bd53cd77a824e6d783f5394924181c0f4246bae05a0814f576f96103b0  /etc/systemd/system/bench.service
END
cmp -s - /etc/bench/app.conf <<END || wrong /etc/bench/app.conf
[server]
address = $1
workers = 4
level = INFO
queue = 256
END

# lines
grep -qxF '192.0.2.9 registry.bench' /etc/hosts || wrong registry
grep -qx 'LOGIN_RETRIES 3' /etc/login.defs || wrong login.defs
grep -qxF /usr/local/bin/bench-report /etc/shells || wrong shells
same block "$(sed -n '/^# BEGIN bench$/,/^# END bench$/p' /etc/hosts)" "# BEGIN bench
192.0.2.10 alpha.bench
192.0.2.11 beta.bench
192.0.2.12 gamma.bench
# END bench"

# commands
[ -e /srv/bench/initialised ] || wrong initialised
[ -e /srv/bench/index ] || wrong index
[ -e /srv/bench/count ] || wrong count
[ ! -e /srv/bench/index.old ] || wrong index.old

# services
same services "$(systemctl show -p Id,ActiveState,UnitFileState ssh bench systemd-networkd.service)" "Id=ssh.service
ActiveState=active
UnitFileState=enabled

Id=bench.service
ActiveState=active
UnitFileState=enabled

Id=systemd-networkd.service
ActiveState=inactive
UnitFileState=disabled"

[ "$n_wrong" = 0 ]
