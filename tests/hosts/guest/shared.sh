# A host that sees this machine's files: / read-only by 9p under a tmpfs, the source tree at its own path, /tmp/out shared.
share() { mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2" || say "trouble $1 cannot be mounted"; }
share host /ro cache=loose,ro
share out /out cache=none
r=/root
mount -t tmpfs rw /rw
mkdir /rw/u /rw/w
mount -t overlay -o lowerdir=/ro,upperdir=/rw/u,workdir=/rw/w root $r || say "trouble no overlay"
for d in proc sys dev; do mkdir -p $r/$d; mount --bind /$d $r/$d; done
mkdir -p $r/dev/pts $r/dev/shm
mount -t devpts devpts $r/dev/pts
mount -t tmpfs shm $r/dev/shm
mount -t tmpfs tmp $r/tmp
mkdir -p $r/tmp/out "$r$SRC" "$r$BUILD" # under a tmpfs if they are in /tmp
mount --bind /out $r/tmp/out
mount --bind "/ro$SRC" "$r$SRC"
mount --bind "/ro$BUILD" "$r$BUILD"
mkdir -p $r/tmp/modules && cp /mod/* /limits $r/tmp/modules/ # for rmmod and insmod with other arguments
mount -t debugfs debugfs $r/sys/kernel/debug
mount -t tracefs tracefs $r/sys/kernel/tracing
ln -sf /proc/self/fd $r/dev/fd
hostname "$(uname -r)"
ifconfig lo 127.0.0.1 2>/dev/null

# enter NAME COMMAND: becomes the check.
enter() {
	exec chroot $r /usr/bin/env -i PATH="$HOST_PATH" HOME=/root LC_ALL=C.UTF-8 TERM=dumb SRC="$SRC" BUILD="$BUILD" \
		KVMSCOPE_CHECK="$1" KVMSCOPE_LIMITS=/tmp/modules/limits CMOCKA_MESSAGE_OUTPUT=TAP \
		/bin/bash -c "cd '$SRC' && $2"
}
