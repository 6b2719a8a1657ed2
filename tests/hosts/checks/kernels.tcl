# What `info kvm` says is what the commands then do, row by row: as this user, as one without privileges, and where the kernel's
# types (BTF) cannot be read. Run by itself again under each of these.
source [file join [file dirname [info script]] lib check.tcl]

# A row that says no goes with a command that is refused and says what to try, any other with one that works.
proc agrees {row command {no {no none}}} {
	set value [dict get [fact $row] value]
	set failed [catch {uplevel #0 $command} text]
	if {$failed != ($value in $no)} {
		error "info kvm says $row is $value, but $command [expr {$failed ? "is refused: $text" : "works"}]"
	}
	if {$failed} { want "$command's error" $text like "*try *" }
}

set rows {
	"shadow pages" {dbg::info shadow}
	"MMIO cache" {dbg::info mmio}
	"host physical addresses" {dbg::gpa2hpa 0x40000}
	"standing inside a fault" {dbg::catch fault 0x40}
	"catch fault" {dbg::catch fault 0x40}
	"catch mmu" {dbg::catch mmu spte}
	"slot prefault" {dbg::slot prefault 0}
	"guest_memfd" {dbg::slot add 9 0x10000000 64K -guest-memfd}
	"dirty ring" {dbg::load demo:tour --dirty-ring 1024}
}

proc again {args} {
	set self [file readlink /proc/self/exe]
	if {[catch {exec env KVMSCOPE_AGAIN=1 {*}$args $self --nx --batch -q -b kvm -x $::again_script 2>@1} text]} { error $text }
	set bad [lsearch -all -inline -glob [split $text \n] "not ok*"]
	if {[llength $bad]} { error [join $bad "; "] }
	want "rows that agree" [llength [lsearch -all -glob [split $text \n] "ok *"]] [expr {[llength $::rows] / 2}]
}
set again_script [file normalize [info script]]

foreach {row command} $rows {
	test "info kvm agrees: $row" [format {
		dbg::load demo:tour
		dbg::run
		agrees %s %s
	} [list $row] [list $command]]
}

if {![info exists ::env(KVMSCOPE_AGAIN)]} {
	test "info kvm agrees as another user" {
		if {[exec id -u] != 0 || [catch {exec setpriv --version}]} { leave "not root, or no setpriv" }
		set mode [file attributes /dev/kvm -permissions]
		file attributes /dev/kvm -permissions 0666
		set failed [catch {again setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all} text]
		file attributes /dev/kvm -permissions $mode
		if {$failed} { error $text }
	}

	test "info kvm agrees without BTF" {
		if {[exec id -u] != 0 || [catch {exec unshare -m true}]} { leave "not root, or no unshare" }
		again unshare -m sh -c {mount -t tmpfs none /sys/kernel/btf && exec "$@"} sh
	}

	test "info kvm agrees with the BTF of vmlinux alone" {
		if {[exec id -u] != 0 || [catch {exec unshare -m true}]} { leave "not root, or no unshare" }
		if {![file exists /sys/kernel/btf/kvm]} { leave "KVM is no module here" }
		again unshare -m sh -c {d=$(mktemp -d) && mount -t tmpfs none $d && cp /sys/kernel/btf/vmlinux $d && mount --move $d /sys/kernel/btf && exec "$@"} sh
	}

	test "info kvm agrees without CAP_BPF and CAP_SYS_ADMIN" {
		if {[exec id -u] != 0 || [catch {exec setpriv --version}]} { leave "not root, or no setpriv" }
		again setpriv --bounding-set=-bpf,-sys_admin,-perfmon --inh-caps=-bpf,-sys_admin,-perfmon
	}
}
