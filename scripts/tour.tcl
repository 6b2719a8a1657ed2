# The tour that `make run` gives: demo:tour on whichever backend this host has, in two screens. Each step shows the line
# that a person would type, what it prints, and what there is to see in it. At a terminal the prompt follows.

namespace eval tour {
	variable missing {}

	proc say {text} { puts $text }

	# Type a line: show it, then what it draws. What the host cannot tell is one line, and told once more at the end.
	proc type {args} {
		variable missing
		set color [expr {[info exists ::env(NO_COLOR)] && $::env(NO_COLOR) ne "" ? "" : "-color"}]
		puts "\n(kvmscope) [join $args]"
		if {[catch {dbg::draw {*}$color {*}$args} text]} {
			puts "  n/a here: $text"
			if {$text ni $missing} { lappend missing $text }
		} else {
			puts $text
		}
	}

	proc head {n title} { puts "\n--- $n. $title [string repeat - [expr {72 - [string length $title]}]]" }
}

set tour::backend [dict get [vm] backend]

tour::say "A guest of nineteen instructions at CPL 3, on the $tour::backend backend. It touches one page by two addresses, a
device, READONLY memory, and last a page that is not there. Watch where each address really goes."
tour::type info slots
tour::say "Guest RAM is slot 0; slot 1 is READONLY. hva is where they are in this very process."

tour::head 1 "one page, two addresses: the rmap chain"
tour::type b spin
tour::type run
tour::type info rmap 0x40
tour::say "The guest wrote gva 0x240000 and read gva 0x250000; both are gfn 0x40. The host keeps, for each guest page, the
list of shadow page-table entries (sptes) that map it. One spte stands in the head itself; from two on the head
points to a descriptor, and its lowest bit says so."

tour::head 2 "the device: the MMIO cache"
tour::type info mmio
tour::say "gpa 0xd0000000 is in no slot, so gva 0x260000 left to user space, and the vCPU remembered that: the next access
skips the walk while the generation is current. Any change of slots makes it worthless."

tour::head 3 "one address through every layer"
tour::type walk 0x280000 w -user
tour::say "Nothing has mapped this page yet. A write by the guest will be refused by the slot, not by its page tables."

tour::head 4 "flip READONLY while the guest stands still"
tour::type slot flags 1 -readonly
tour::type c
tour::say "The end of the story: the last instruction reads a page that is not mapped, and there is no handler."
tour::type info sptes 0x280000 0x290fff
tour::type xp/2wx 0x80000
tour::say "The write reached memory, and its spte is writable: before the flip it would have been an MMIO exit. (0x290000
was only read.) Its first word, 0x55667788, is what the guest wrote."

if {[llength $tour::missing]} {
	tour::say "\nNot to be seen on this host:"
	foreach line $tour::missing { tour::say "  $line" }
	tour::say "Everything else works without it; `-b soft` shows all of it, from the interpreter's own shadow MMU."
}
tour::say "\nGo on by yourself:  help   walk 0x250000   shadow tree   info registers   snap, si, diff   load demo:rmap   quit"
namespace delete tour
