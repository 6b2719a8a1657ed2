# What init does with a check: run it in a cgroup, pass its output on, see that it gets on, and end it if it does not.
#
# A check gets on while it prints, and for a while as long as it uses the processor. How long is measured in what the machine has done:
# `now` is the emulator's processor seconds, which the driver writes to /out/clock, or the emulated clock where that follows the
# instructions; neither runs faster where many share the real machine. One that waits for good may look now and then whether it is
# to go on; a fifth of the processor is more than that. Of an emulator that is kept waiting a check that has work sees nothing: its
# share is of what it has got.

say() { echo "### $*"; }

now() {
	if [ "$FILES" = shared ]; then read -r t </out/clock; else read -r t _ </proc/uptime; fi 2>/dev/null
	t=${t%%.*}
}

printed() { read -r _ n <"/proc/$1/io"; } # characters, by who passes them on

uptime() { read -r up _ </proc/uptime && up=${up%%.*}; }

used() { # of the check and its children, milliseconds
	read -r _ u </cg/check/cpu.stat && u=${u%???} || u=0
}

hung() {
	say "hung $1 $2"
	ps -o pid,stat,args | grep -v ' \[' | tail -8
	echo 1 >/cg/check/cgroup.kill
}

# watch_check NAME PID: looks once a second; PID passes the output on.
watch_check() {
	chars= before=0 beat=0 t=0
	now; since=$t beat=$t
	uptime; idle=$up
	while sleep 1; do
		printed "$2" || return
		now; used; uptime
		[ "$n" = "$chars" ] || { chars=$n since=$t idle=$up; }
		[ $((u - before)) -lt 200 ] || idle=$up
		before=$u
		[ $((t - beat)) -lt 10 ] || { say "alive $t"; beat=$t; }
		[ $((t - since)) -lt "$SILENT" ] || { hung "$1" "ran $((t - since)) s without a word"; return; }
		[ $((up - idle)) -lt "$IDLE" ] || { hung "$1" "did nothing for $((up - idle)) s"; return; }
	done
}

# What the kernel complains of is a failure of the check during which it did.
complaints() {
	dmesg -c | grep -E 'WARNING:|BUG:|Oops|general protection fault|kvm.*(unexpected|vmwrite error|vmread error)' | head -5 |
		while read -r line; do say "kernel $1 $line"; done
}

# run_check NAME COMMAND
run_check() {
	say "check $1"
	mkdir -p /cg/check
	rm -f /tmp/out.fifo; mkfifo /tmp/out.fifo
	cat </tmp/out.fifo &
	pass=$!
	(
		echo 0 >/cg/check/cgroup.procs
		enter "$1" "$2"
	) >/tmp/out.fifo 2>&1 </dev/null &
	check=$!
	watch_check "$1" $pass 2>/dev/null &
	watcher=$!
	wait $check
	status=$?
	kill $watcher 2>/dev/null
	echo 1 >/cg/check/cgroup.kill
	wait $pass
	wait $watcher 2>/dev/null
	rmdir /cg/check 2>/dev/null
	echo
	complaints "$1"
	say "done $1 $status"
}

finish() {
	sync
	# Bochs ends by these bytes at its port 0x8900.
	[ "$FILES" = shared ] || for c in S h u t d o w n; do printf $c | dd of=/dev/port bs=1 seek=35072 conv=notrunc 2>/dev/null; done
	poweroff -f
	sleep 100
}
