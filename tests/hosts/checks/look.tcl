# What can be seen of demo:tour, on whichever tables the host has.
source [file join [file dirname [info script]] lib check.tcl]

# To the last instruction of the tour, which faults.
proc tour {} {
	dbg::load demo:tour
	dbg::tb unmapped
	stop run [dbg::run] breakpoint rip [dbg::p unmapped]
}

test "the kernel's structures can be read" {
	foreach row {"shadow pages" "host physical addresses"} { want $row [dict get [fact $row] value] yes }
}

test "slots" {
	set slots [dbg::info slots]
	want ids [lmap s $slots { dict get $s id }] {0 1}
	want "slot 0" [hex [dict get [lindex $slots 0] size]] 0x80000
	want "slot 1" [dict get [lindex $slots 1] flags] has readonly
}

test "walk finds the page and the spte that maps it" {
	tour
	set w [dbg::walk 0x240000 r -user]
	want gpa [hex [dict get $w gpa]] 0x40000
	want "bytes by hva" [dict get [dbg::mem read 0x40000 8 -phys] data] 8977665544332211
	set leaf [lindex [dict get $w sptes] end]
	if {$leaf eq ""} { error "it has no spte, though the guest has written there" }
	want "the spte's page" [hex [expr {([dict get $leaf spte] >> 12) & 0xffffffff}]] [hex [expr {[dbg::gpa2hpa 0x40000] >> 12}]]
}

test "an access to a device is one" {
	tour
	want verdict [dict get [dbg::walk 0x260000 w -user] verdict] mmio
	want "the MMIO cache's gfn" [lmap m [dbg::info mmio] { hex [dict get $m gfn] }] has 0xd0000
}

test "readonly memory: reads map it, writes leave" {
	tour
	want verdict [dict get [dbg::walk 0x280000 w -user] verdict] readonly
	want verdict [dict get [dbg::walk 0x280000 r -user] verdict] ok
}

test "a slot's flags change, and change back" {
	tour
	dbg::slot flags 1 -readonly
	want flags [dict get [lindex [dbg::info slots] 1] flags] lacks readonly
	dbg::slot flags 1 +readonly
	want flags [dict get [lindex [dbg::info slots] 1] flags] has readonly
	dbg::tb unmapped
	stop "run again" [dbg::run] breakpoint rip [dbg::p unmapped]
	want "what the guest wrote into it" [dict get [dbg::mem read 0x80000 4 -phys] data] 00000000
}

test "a slot moves with its bytes" {
	dbg::load demo:tour
	dbg::slot add 5 0x10000000 64K
	dbg::mem write 0x10000010 1122334455667788 -phys
	dbg::slot move 5 0x20000000
	want bytes [dict get [dbg::mem read 0x20000010 8 -phys] data] 1122334455667788
}

test "shadow pages of the guest's tables" {
	tour
	if {[tdp]} { leave "the host translates by TDP: no table of the guest is shadowed" }
	foreach {gfn level} {0x10 4 0x11 3 0x12 2 0x13 1} {
		want "levels of gfn $gfn" [lmap p [dbg::info shadow $gfn] { dict get $p level }] has $level
	}
}

test "reverse map of a page with two addresses" {
	tour
	if {[tdp]} { leave "the host translates by TDP: it keeps no reverse maps" }
	set r [lindex [dbg::info rmap 0x40] 0]
	want kind [dict get $r kind] many
	want sptes [llength [dict get $r sptes]] 2
}

test "memop and xlate agree with memory" {
	tour
	want read [dict get [dbg::memop read 0x240000 8] data] 8977665544332211
	want fault [dict get [dbg::xlate 0x240000 8 w -user] fault] {}
	want "of what is not there" [dict get [dbg::memop read 0x300000 8] status] 14
}
