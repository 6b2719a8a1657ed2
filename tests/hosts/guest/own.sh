# A host without this machine's files: the tree is here, in /src.
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing

# enter NAME COMMAND: becomes the check.
enter() {
	cd /src && exec env -i PATH=/bin HOME=/tmp TERM=dumb SRC=/src BUILD=build KVMSCOPE_CHECK="$1" KVMSCOPE_LIMITS=/limits \
		CMOCKA_MESSAGE_OUTPUT=TAP sh -c "$2"
}
