# Breakpoints hit where they are, each time, whatever mechanism the host offers.
source [file join [file dirname [info script]] lib check.tcl]

proc hits {} { lmap b [dbg::info breakpoints] { dict get $b hits } }

test "one behind the other" {
	dbg::load demo:tour
	dbg::break device
	dbg::break unmapped
	stop first [dbg::run] breakpoint rip [dbg::p device]
	stop second [dbg::c] breakpoint rip [dbg::p unmapped]
	stop end [dbg::c] exception vector 14 cr2 0x300000
	want hits [hits] {1 1}
}

test "behind the iret of a fault's handler" {
	dbg::load demo:rmap
	dbg::tb touch
	stop run [dbg::run] breakpoint rip [dbg::p touch]
}

test "each time behind the iret of a fault's handler" {
	dbg::load demo:rmap
	dbg::mem write count 0300000000000000
	dbg::break touch
	for {set i 0} {$i < 3} {incr i} { stop "time $i" [expr {$i ? [dbg::c] : [dbg::run]}] breakpoint rip [dbg::p touch] }
	stop end [dbg::c] hlt
	want hits [hits] 3
}

test "in a loop, by its count" {
	dbg::load demo:rmap
	dbg::mem write count 0500000000000000
	dbg::break touch
	dbg::ignore [dict get [lindex [dbg::info breakpoints] 0] id] 3
	stop run [dbg::run] breakpoint rip [dbg::p touch]
	want "times before" [dbg::p {$r12}] 3
}

test "more than there are debug registers" {
	dbg::load demo:tour
	set names {write_alias read_alias device spin readonly unmapped}
	foreach b $names { dbg::break $b }
	set run run
	foreach b $names {
		stop $b [dbg::$run] breakpoint rip [dbg::p $b]
		set run c
	}
	stop end [dbg::c] exception vector 14
	want hits [hits] {1 1 1 1 1 1}
}

test "by a debug register" {
	dbg::load demo:tour
	if {[catch {dbg::hb spin} why]} { leave $why }
	stop run [dbg::run] breakpoint rip [dbg::p spin]
}

test "at CPL 0" {
	dbg::load demo:rmap
	dbg::tb mapped
	stop run [dbg::run] breakpoint rip [dbg::p mapped]
	dbg::tb unmapped
	stop on [dbg::c] breakpoint rip [dbg::p unmapped]
}

test "real, protected and long mode" {
	dbg::load demo:real
	set run run
	foreach b {real_mode prot_mode long_mode} {
		dbg::tb $b
		stop $b [dbg::$run] breakpoint rip [dbg::p $b]
		set run c
	}
	stop end [dbg::c] hlt
}

test "the guest cannot read them, or it is said" {
	# mov al, [0x100010] at the place of the breakpoint, and hlt
	guest long 8a0425100010009090909090909090908a0425100010009090f4
	dbg::break *0x100010
	stop run [dbg::run] breakpoint rip 0x100010
	set b [lindex [dbg::info breakpoints] 0]
	set told [expr {[dict exists $b why] ? [dict get $b why] : ""}]
	set byte [hex [expr {[dbg::p {$rax}] & 0xff}]]
	if {$byte ne "0xcc" || ![string match "*see the int3*" $told]} { want "the byte that it reads" $byte 0x8a }
	stop end [dbg::c] hlt
}

test "an int3 of the guest's own is its own" {
	guest long 90cc9090f4
	stop run [dbg::run] exception vector 3
	want instruction [hex [dbg::p {$rip}]] 0x100002
}
