# Standing inside a guest's fault: stage by stage, one number a fault, and the guest goes on as if nothing had been.
source [file join [file dirname [info script]] lib check.tcl]

proc caught {args} {
	dbg::load demo:tour
	if {[catch {dbg::catch fault {*}$args} why]} { leave $why }
}

# With two-dimensional paging no fault tells the guest virtual address, and a page is caught once. Shadow paging: the first
# stage is the walk's read of the root, or the page where nothing has armed the tables yet.
proc in_the_write {s} {
	stop run $s fault-stage rip 0x20000f
	if {[tdp]} {
		want gpa [hex [dict get $s gpa]] 0x40000
	} else {
		want gva [hex [dict get $s gva]] 0x240000
		want gpa [hex [dict get $s gpa]] [expr {[dict get $s stage] eq "walk" ? "0x10000" : "0x40000"}]
	}
}

test "the first write stands still" {
	caught 0x40
	in_the_write [dbg::run]
	want memory [dict get [dbg::mem read 0x40000 8 -phys] data] 0000000000000000
}

test "stages of one fault have one number" {
	caught 0x40
	set s [dbg::run]
	in_the_write $s
	set fault [dict get $s fault]
	set before [llength [dbg::fault list]]
	for {set i 0} {$i < 30 && [dict get $s reason] eq "fault-stage" && [dict get $s fault] == $fault} {incr i} { set s [dbg::fault step] }
	want "stages that it had" [llength [dbg::fault list]] > $before
	# The instruction wrote one page: one fault, however many walks and retries KVM needed.
	set numbers [lsort -unique [lmap r [dbg::fault list] {
		if {[dict get $r gfn] ne "64" || [dict get $r stage] ne "spte" || [dict get $r fault] == 0} { continue }
		dict get $r fault
	}]]
	want "the fault that made gfn 0x40's first spte" [lindex $numbers 0] $fault
	dbg::delete
	if {[dict get $s reason] ne "exception"} { set s [dbg::c] }
	stop end $s exception vector 14 cr2 0x300000
}

test "continue ends the fault and does what the guest wanted" {
	caught 0x40
	dbg::tb read_alias
	in_the_write [dbg::run]
	stop on [dbg::fault continue] breakpoint rip [dbg::p read_alias]
	want memory [dict get [dbg::mem read 0x40000 8 -phys] data] 8877665544332211
	dbg::delete
	stop end [dbg::c] exception vector 14 cr2 0x300000
}

test "a step out of it is one instruction" {
	caught 0x40
	in_the_write [dbg::run]
	dbg::delete
	want rip [hex [dict get [dbg::si] rip]] 0x200012
}

test "all faults, to the end" {
	caught
	set s [dbg::run]
	stop run $s fault-stage
	for {set i 0} {$i < 200 && [dict get $s reason] eq "fault-stage"} {incr i} { set s [dbg::fault continue] }
	stop end $s exception vector 14 cr2 0x300000
	want memory [dict get [dbg::mem read 0x40000 8 -phys] data] 8977665544332211
}

test "a breakpoint that is set while it stands inside" {
	caught 0x40
	in_the_write [dbg::run]
	dbg::tb read_alias
	stop on [dbg::fault continue] breakpoint rip [dbg::p read_alias]
	dbg::delete
	stop end [dbg::c] exception vector 14 cr2 0x300000
}
