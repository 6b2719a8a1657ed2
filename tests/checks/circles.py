#!/usr/bin/env python3
"""Link-level circles: which object needs a symbol that another defines.

    tests/checks/circles.py [BUILD]

Folders of objects use each other in one direction only, and no ten objects inside a folder need each other. Files at the root
of kvmback/ and cli/ (vm.c, run.c, main.c) put folders together and are folders of their own here. Objects without a source any
more are left over from an older tree, and not looked at. With -v: who needs what across each edge of a circle.
"""
import collections, os, subprocess, sys

ROOTS = ("core", "kvmback", "views", "cli")
LARGEST = 9

# Circles that are being taken apart. Each line goes when its work lands; a line that is not needed any more is an error.
FOLDERS_ALLOWED = [
]
INSIDE_ALLOWED = {}


def sources():
    for root in ROOTS:
        for folder, _, files in os.walk(root):
            yield from (os.path.join(folder, f)[:-2] for f in sorted(files) if f.endswith(".c"))


def needs(build):
    """{object: {object: symbols}}"""
    objects = list(sources())
    missing = [o for o in objects if not os.path.exists(f"{build}/{o}.o")]
    if missing:
        sys.exit(f"circles: not built: {', '.join(missing[:3])}")
    out = subprocess.run(["nm", "-A", "-P", "-g", *(f"{build}/{o}.o" for o in objects)], check=True, text=True, stdout=subprocess.PIPE).stdout
    defined, wanted = {}, collections.defaultdict(set)
    for line in out.splitlines():
        where, rest = line.split(": ", 1)
        name, kind = rest.split()[:2]
        where = where[len(build) + 1:-2]
        if kind in "Uvw":
            wanted[where].add(name)
        else:
            defined[name] = where
    edges = {o: collections.defaultdict(set) for o in objects}
    for o, names in wanted.items():
        for n in names & defined.keys():
            if defined[n] != o:
                edges[o][defined[n]].add(n)
    return edges


def circles(edges):
    """Sets of two or more that reach each other (Tarjan, without recursion)."""
    index, low, stack, on, found = {}, {}, [], set(), []
    for start in edges:
        if start in index:
            continue
        work = [(start, iter(edges[start]))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on.add(start)
        while work:
            node, rest = work[-1]
            for to in rest:
                if to not in edges:
                    continue
                if to not in index:
                    index[to] = low[to] = len(index)
                    stack.append(to)
                    on.add(to)
                    work.append((to, iter(edges[to])))
                    break
                if to in on:
                    low[node] = min(low[node], index[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    part = set()
                    while node not in part:
                        part.add(stack.pop())
                    on -= part
                    if len(part) > 1:
                        found.append(part)
    return found


def between(edges):
    folders = collections.defaultdict(lambda: collections.defaultdict(set))
    for a in edges:
        for b, names in edges[a].items():
            if os.path.dirname(a) != os.path.dirname(b):
                folders[os.path.dirname(a)][os.path.dirname(b)] |= {f"{a} needs {n} of {b}" for n in names}
        folders[os.path.dirname(a)]
    return folders


def main():
    verbose = "-v" in sys.argv
    build = ([a for a in sys.argv[1:] if not a.startswith("-")] or ["build"])[0]
    edges = needs(build)
    folders = between(edges)
    bad, unused = [], list(FOLDERS_ALLOWED)
    for part in circles(folders):
        allowed = [a for a in FOLDERS_ALLOWED if part <= a]
        unused = [a for a in unused if a not in allowed]
        if not allowed:
            bad.append("a circle of folders: " + " ".join(sorted(part)))
        if not allowed or verbose:
            bad += [f"    {s}" for a in sorted(part) for b in sorted(part & folders[a].keys()) for s in sorted(folders[a][b])]
    bad += [f"not a circle any more, take it off the list: {' '.join(sorted(a))}" for a in unused]
    largest = dict.fromkeys(INSIDE_ALLOWED, 0)
    for folder in folders:
        inside = {o: e for o, e in edges.items() if os.path.dirname(o) == folder}
        for part in circles(inside):
            largest[folder] = max(largest.get(folder, 0), len(part))
            if len(part) > INSIDE_ALLOWED.get(folder, LARGEST):
                bad.append(f"{len(part)} objects of {folder} need each other: " + " ".join(sorted(os.path.basename(o) for o in part)))
    bad += [f"below ten now, take it off the list: {f}" for f in INSIDE_ALLOWED if largest[f] <= LARGEST]
    print("\n".join(bad) if bad else f"circles: none between {len(folders)} folders but those on the list, at most {LARGEST} objects inside one")
    return bool(bad)


sys.exit(main())
