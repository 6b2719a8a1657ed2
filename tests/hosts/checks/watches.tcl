# Watchpoints: each access once, with its address, kind and values, and an end to them in decent time.
source [file join [file dirname [info script]] lib check.tcl]

set WRITE {gva 0x240000 write 1 instruction 0x20000f}
set END {vector 14 cr2 0x300000}

test "a write" {
	dbg::load demo:tour
	dbg::watch 0x240000
	set s [dbg::run]
	stop run $s watchpoint {*}$::WRITE
	want data [dict get $s data] 8877665544332211
	want "data before" [dict get $s old_data] 0000000000000000
	stop end [dbg::c] exception {*}$::END
}

test "by physical address, through both of its virtual ones" {
	dbg::load demo:tour
	dbg::watch 0x40000 8 -phys
	stop first [dbg::run] watchpoint {*}$::WRITE
	stop second [dbg::c] watchpoint gva 0x250000 write 1 instruction 0x20001e
	stop end [dbg::c] exception {*}$::END
}

test "a read" {
	dbg::load demo:tour
	dbg::rwatch 0x250000
	stop run [dbg::run] watchpoint gva 0x250000 read 1 write 0 instruction 0x200017
	dbg::tb device
	stop on [dbg::c] breakpoint rip [dbg::p device]
}

test "both" {
	dbg::load demo:tour
	dbg::awatch 0x250000
	stop first [dbg::run] watchpoint gva 0x250000 read 1 write 0 instruction 0x200017
	stop second [dbg::c] watchpoint gva 0x250000 read 0 write 1 instruction 0x20001e
	dbg::tb spin
	stop on [dbg::c] breakpoint rip [dbg::p spin]
}

test "a write is not told as a read" {
	dbg::load demo:tour
	dbg::awatch 0x240000
	stop run [dbg::run] watchpoint read 0 {*}$::WRITE
	stop end [dbg::c] exception {*}$::END
}

test "longer than a debug register" {
	dbg::load demo:tour
	dbg::watch 0x240000 64
	stop run [dbg::run] watchpoint len 8 {*}$::WRITE
	dbg::tb device
	stop on [dbg::c] breakpoint rip [dbg::p device]
}

test "steps meet it too" {
	dbg::load demo:tour
	dbg::watch 0x240000
	dbg::si 2
	stop third [dbg::si] watchpoint {*}$::WRITE
}

test "in real mode" {
	# mov word [0x8000], 0x1234; hlt
	guest real c70600803412f4
	dbg::watch 0x8000 2
	stop run [dbg::run] watchpoint write 1 instruction 0x7c00
	stop end [dbg::c] hlt
}

# The guest goes on through its loop of ten million rounds, in which nothing is touched but code.
test "of a page's neighbours nobody is told, and a loop is as fast as ever" {
	dbg::load demo:tour
	dbg::watch 0x240100 64
	stop end [dbg::run] exception {*}$::END
	want hits [lmap b [dbg::info breakpoints] { dict get $b hits }] 0
}

test "a read, and on to the end" {
	dbg::load demo:tour
	dbg::rwatch 0x250000
	stop run [dbg::run] watchpoint gva 0x250000 read 1 write 0
	stop end [dbg::c] exception {*}$::END
}
