# Runs the units of docs/deploy/systemd with a systemd of its own, as root:
#   sh service.sh PROGRAM UNITS PORT
# Prints what the test compares. That systemd has namespaces and control groups of its own, because
# it moves all processes of its control group.
set -eu
program=$1 units=$2 port=$3

if [ "${4:-}" != inside ]; then
    roots=$(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/self/mounts)
    name=wireplug-test-$$
    trap 'for root in $roots; do find "$root/$name" -depth -type d -exec rmdir {} +; done' EXIT
    for root in $roots; do mkdir "$root/$name"; done
    (
        for root in $roots; do
            # systemd does not use the ones that want settings first, such as cpuset.
            echo 0 2> /dev/null > "$root/$name/cgroup.procs" || true
        done
        exec unshare --mount --pid --cgroup --fork --kill-child --mount-proc \
            sh "$0" "$program" "$units" "$port" inside "$name"
    )
    exit
fi
for root in $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/self/mounts); do
    mount --bind "$root/$5" "$root"
done

# What a system has that was booted by systemd.
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/systemd/inaccessible/dir
(
    cd /run/systemd/inaccessible
    : > reg
    mkfifo fifo
    mknod chr c 0 0
    mknod blk b 0 0
    python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('sock')"
)

# systemd for a user has other folders than the one for a system. The service sees neither the home
# of a user nor /tmp.
export XDG_RUNTIME_DIR=/run/manager XDG_CONFIG_HOME=/run/config XDG_CACHE_HOME=/run/cache
mkdir -p "$XDG_RUNTIME_DIR" "$XDG_CONFIG_HOME/systemd/user" /run/etc
install "$program" /run/wireplug
cat > /run/etc/wireplug.toml <<EOF
app = "demo"
[server]
max-connections = 100
[control]
listen = "unix:///run/manager/wireplug/control.sock"
[codecs.pomelo]
builtin = "pomelo"
[[listeners]]
url = "tcp://127.0.0.1:$port"
codec = "pomelo"
EOF
for unit in wireplug.service wireplug.socket; do
    sed -e 's#/run/wireplug#/run/manager/wireplug#; s#/usr/local/bin/wireplug#/run/wireplug#' \
        -e 's#/etc/wireplug#/run/etc#; s#/var/cache#/run/cache#' \
        -e 's#^User=.*#User=nobody#; s#^Group=.*#Group=nogroup#' \
        -e 's#^WatchdogSec=.*#WatchdogSec=2s#; s#^TimeoutStartSec=.*#TimeoutStartSec=60s#' \
        -e "s#^ListenStream=0.0.0.0:3010#ListenStream=127.0.0.1:$port#; /^ListenStream=0.0.0.0:3020/d" \
        "$units/$unit" > "$XDG_CONFIG_HOME/systemd/user/$unit"
done
mkdir "$XDG_CONFIG_HOME/systemd/user/wireplug.service.d"
cat > "$XDG_CONFIG_HOME/systemd/user/wireplug.service.d/test.conf" <<EOF
[Service]
StandardOutput=append:/run/output
StandardError=append:/run/output
EOF

show() { systemctl --user show --property="$1" --value wireplug.service; }
trap 'cat /run/output >&2' EXIT

/lib/systemd/systemd --user &
until [ -S "$XDG_RUNTIME_DIR/systemd/private" ]; do sleep 0.1; done
# The socket of a system's systemd is open to all users.
chmod 0777 "$XDG_RUNTIME_DIR/systemd/notify"
systemctl --user start wireplug.socket
# The start waits until the server says that it is ready.
systemctl --user start wireplug.service
/run/wireplug call "tcp://127.0.0.1:$port" connector.entryHandler.echo '{"hello":"wörld"}'
until [ -n "$(show StatusText)" ]; do sleep 0.1; done
echo "status: $(show StatusText)"
grep -E '^(NoNewPrivs|Seccomp|CapEff):' "/proc/$(show MainPID)/status"

systemctl --user reload wireplug.service
echo "reloaded: $(show ActiveState)"
echo 'nonsense' >> /run/etc/wireplug.toml
systemctl --user reload wireplug.service 2> /dev/null || echo "a wrong reload fails: $(show ActiveState)"
sed -i '$d' /run/etc/wireplug.toml

# Another process becomes the main one of the service, under a session that goes on.
/run/wireplug call "tcp://127.0.0.1:$port" chat.chatHandler.join '{"name":"ann"}' --listen > /run/ann &
ann=$! before=$(show MainPID)
until grep -q ann /run/ann; do sleep 0.1; done
/run/wireplug upgrade --control unix:///run/manager/wireplug/control.sock > /run/upgraded
until [ "$(show MainPID)" != "$before" ] && [ ! -e "/proc/$before" ]; do sleep 0.1; done
/run/wireplug call "tcp://127.0.0.1:$port" chat.chatHandler.join '{"name":"bob"}' \
    --then chat.chatHandler.send '{"text":"hi"}' > /run/bob
until grep -q hi /run/ann; do sleep 0.1; done
kill "$ann"
echo "upgraded: $(show ActiveState), process $(show MainPID)" | sed "s/$(cut -d ' ' -f 2 /run/upgraded | tr -d ,)/that was said/"

# A process that hangs is replaced. Its clients wait in the socket of systemd.
kill -STOP "$(show MainPID)"
/run/wireplug call "tcp://127.0.0.1:$port" connector.entryHandler.echo '{"hello":"again"}'
echo "restarts: $(show NRestarts)"

systemctl --user stop wireplug.service
echo "stopped: $(show Result)"
trap - EXIT
# It removes its control groups.
systemctl --user exit
wait
