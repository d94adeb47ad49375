# Writes what this node's containerd needs to pull from the registry, and keeps it as it is wanted.
#
# In: $KIND (k0s, containerd or k3s), $HOST (the registry's name in images), $POD_UID, $MARK (first line of each of our
# files), $CERTS (where hosts.toml goes where nobody has chosen a folder), $WRITABLE (the mounted folders); the wanted
# files in $WANTED, the node's folders below $ROOT. Out: the files; $STATE/ready while they are as wanted; on the log
# each write, and once the reason why they are not. For busybox ash and dash. docs/nodes.md tells the rules.
set -u
: "${ROOT=/node}" "${WANTED=/wanted/..data}" "${STATE=/state}" "${PERIOD=10}"
umask 022

said= ending= claimed= placed= drop_in= binary_seen= version= sleeper=

say() { # once for each change
    [ "$1" = "$said" ] || echo "$1"
    said=$1
}

fail() {
    rm -f "$STATE/ready"
    say "not ready: $1"
    return 1
}

ours() { [ -f "$1" ] && [ "$(head -n 1 "$1")" = "$MARK" ]; }

inside() { # PATH: below one of the mounted folders
    case $1/ in *'/../'*) return 1 ;; esac
    for mount in $WRITABLE; do
        case $1/ in "$mount"/*) return ;; esac
    done
    return 1
}

# put NAME PATH: the wanted file NAME is at PATH, written in one step where it was not. Sets $wrote then.
put() {
    wrote=
    ! cmp -s "$1" "$ROOT$2" || return 0
    if [ -e "$ROOT$2" ] && ! ours "$ROOT$2"; then
        ! sed 1d "$1" | cmp -s - "$ROOT$2" || return 0 # somebody has written just the same by hand
        fail "$2 is there and was not written by this: remove it, or move it away, on this node"
        return
    fi
    error=$({ mkdir -p "$ROOT${2%/*}" && cp "$1" "$ROOT$2.new" && chmod 0644 "$ROOT$2.new" &&
        mv "$ROOT$2.new" "$ROOT$2"; } 2>&1) || { fail "cannot write $2: $error"; return; }
    wrote=yes
    echo "wrote $2"
}

discard() { # PATH: removed, where it is ours
    if [ -n "$1" ] && ours "$ROOT$1"; then
        rm -f "$ROOT$1" && echo "removed $1"
    fi
}

withdraw() { # FOLDER: without our files, hosts.toml first, since it names the other
    discard "$1/hosts.toml"
    discard "$1/ca.crt"
    rm -f "$ROOT$1/.owner" "$ROOT$1/.owner.new" "$ROOT$1/hosts.toml.new" "$ROOT$1/ca.crt.new"
    rmdir "$ROOT$1" 2>/dev/null
}

# facts FILE: what of one containerd configuration file matters here, a line each: `version N`, `import PATTERN`, `cri`
# where it has settings of the CRI plugin, `path2 FOLDERS` and `path3 FOLDERS` for config_path in either version's table.
facts() {
    awk '
        function each(text, word) {
            sub(/^[ \t]*#.*/, "", text)
            while (match(text, /"[^"]*"|\047[^\047]*\047/)) {
                print word, substr(text, RSTART + 1, RLENGTH - 2)
                text = substr(text, RSTART + RLENGTH)
            }
        }
        function plain(text) { gsub(/[ \t"\047]/, "", text); return text }
        { sub(/\r$/, ""); sub(/^[ \t]+/, "") }
        /^(#|$)/ { next }
        inlist { each($0, "import"); if ($0 ~ /\]/) inlist = 0; next }
        /^\[/ { name = $0; sub(/^\[+/, "", name); sub(/\].*/, "", name); table = plain(name) "."; name = table }
        !/^\[/ && index($0, "=") {
            name = table plain(substr($0, 1, index($0, "=") - 1))
            value = substr($0, index($0, "=") + 1)
            if (name == "version") print "version", value + 0
            if (name == "imports") { each(value, "import"); inlist = value !~ /\]/ }
            if (name == "plugins.io.containerd.grpc.v1.cri.registry.config_path") each(value, "path2")
            if (name == "plugins.io.containerd.cri.v1.images.registry.config_path") each(value, "path3")
        }
        name ~ /^plugins\.io\.containerd\.(grpc\.v1\.cri|cri\.v1)\./ { print "cri" }
        { name = "" }
    ' "$1"
}

# settle FILE...: sets $folder to the one folder that these files, of which a later one wins, give for config_path; to
# nothing where they give none. $list is the file that gives a list of folders, and wins over our own drop-in.
settle() {
    folder= list= cri= after=
    for file; do
        [ -f "$file" ] || continue
        if [ "$file" = "$ROOT$drop_in" ] && ours "$file"; then
            after=yes
            continue
        fi
        while read -r word value; do
            case $version$word in
            ?cri) cri=$file ;;
            2path2 | 3path2 | 3path3)
                case $value in
                '') ;;
                *:*) # containerd 1.x looks in each, 2.x in none (issue 12808)
                    if [ "$KIND$version" = k0s2 ]; then folder=${value%%:*}; else list=${after:+$file}; fi ;;
                *) folder=$value list= ;;
                esac ;;
            esac
        done <<FACTS
$(facts "$file")
FACTS
    done
}

# k0s names no folder, and reads every *.toml in containerd.d. Its containerd is a static program: it tells its version.
decide_k0s() {
    binary=$ROOT/var/lib/k0s/bin/containerd drop_in=/etc/k0s/containerd.d/registry.toml
    seen=$(ls -iln "$binary" 2>&1)
    if [ "$seen" != "$binary_seen" ] || [ -z "$version" ]; then
        told=$("$binary" --version 2>&1)
        case $(echo "$told" | awk '{ sub(/^v/, "", $3); print $3 }') in
        1.*) version=2 ;;
        2.*) version=3 ;;
        *) version=; fail "no version of /var/lib/k0s/bin/containerd: $told"; return ;;
        esac
        binary_seen=$seen
    fi
    settle "$ROOT"/etc/k0s/containerd.d/*.toml
    [ -n "$folder" ] || [ -z "$list" ] ||
        fail "${list#"$ROOT"} gives config_path a list, which containerd 2 does not follow: give it one folder there"
}

# Plain containerd reads config.toml and what that imports. With no config.toml it reads no drop-in either: it is the
# default's text, not the daemon, that has the imports (cmd/containerd/command/main.go of 2.4.2).
decide_containerd() {
    home=${CERTS%/*} version= drop_in=
    config=$home/config.toml
    [ -f "$ROOT$config" ] || { fail "there is no $config: make one with 'containerd config default'"; return; }
    set -- "$ROOT$config"
    while read -r word value; do
        case $word in
        version) version=$value ;;
        import)
            case $value in /*) ;; *) value=$home/$value ;; esac
            inside "$value" || continue
            case $value in */'*.toml') drop_in=${drop_in:-${value%/*}/registry.toml} ;; esac
            for file in "$ROOT"$value; do set -- "$@" "$file"; done ;;
        esac
    done <<FACTS
$(facts "$ROOT$config")
FACTS
    case $version in
    2) ;;
    [3-9]) version=3 ;; # a later one reads an earlier one's drop-in
    *) fail "$config is of version 1: go over to version 2"; return ;;
    esac
    settle "$@"
    remedy="set config_path = \"$CERTS\" in $config and restart containerd"
    if [ -n "$folder" ]; then
        return
    elif [ "$KIND" = k3s ] || [ -z "$drop_in" ]; then
        fail "$config names no folder for config_path, and imports none for drop-ins: $remedy"
    elif [ "$version" = 2 ] && [ -n "$cri" ]; then
        # containerd 1.x replaces a plugin's whole section (mergeConfig in its services/server/config/config.go)
        fail "a drop-in would replace the CRI settings in ${cri#"$ROOT"}: $remedy"
    elif [ -n "$list" ]; then
        fail "${list#"$ROOT"} gives config_path a list, which containerd 2 does not follow: give it one folder there"
    fi
}

# Sets $folder, where the hosts' folders are, and $own to our drop-in where that is wanted.
decide() {
    case $KIND in
    k0s) decide_k0s ;;
    *) decide_containerd ;;
    esac || return
    own=
    [ -n "$folder" ] || { folder=$CERTS own=$drop_in; }
    folder=${folder%/}
    inside "$folder" || fail "config_path is $folder, which is not mounted here: give it $CERTS"
}

round() {
    cd "$WANTED" 2>/dev/null || { fail "the wanted files are not there"; return; } # one state of them, while they change
    decide || return
    target=$folder/$HOST
    owner=$(cat "$ROOT$target/.owner" 2>/dev/null)
    if [ "$claimed" = "$target" ] && [ -n "$owner" ] && [ "$owner" != "$POD_UID" ]; then
        say "pod $owner has taken over"
        return
    elif [ "$owner" != "$POD_UID" ]; then
        error=$({ mkdir -p "$ROOT$target" && echo "$POD_UID" >"$ROOT$target/.owner.new" &&
            mv "$ROOT$target/.owner.new" "$ROOT$target/.owner"; } 2>&1) ||
            { fail "cannot write to $target: $error"; return; }
    fi
    claimed=$target
    # hosts.toml never names a ca.crt that is not there; the drop-in comes last, since k0s restarts containerd for it
    ! grep -q '"ca.crt"' hosts.toml || put ca.crt "$target/ca.crt" || return
    put hosts.toml "$target/hosts.toml" || return
    grep -q '"ca.crt"' hosts.toml || discard "$target/ca.crt"
    [ -z "$placed" ] || [ "$placed" = "$target" ] || withdraw "$placed"
    placed=$target
    if [ -z "$own" ]; then
        discard "$drop_in"
    else
        put "drop-in-$version.toml" "$own" || return
        [ -z "$wrote" ] || [ "$KIND" = k0s ] || echo "restart containerd once on this node: it reads $own when it starts"
    fi
    : >"$STATE/ready" && say "ready: $target/hosts.toml${own:+ and $own}"
}

# The pod ends: what it wrote goes, unless another pod of the DaemonSet has the node by now. The drop-in stays for as
# long as another registry's pod needs it.
leave() {
    [ -n "$claimed" ] || return
    [ "$(cat "$ROOT$claimed/.owner" 2>/dev/null)" = "$POD_UID" ] || return
    withdraw "$claimed"
    for other in "$ROOT${claimed%/*}"/*/.owner; do
        [ ! -f "$other" ] || return
    done
    discard "$drop_in"
}

case $HOST in '' | .* | */*) echo "HOST is no host's name: $HOST"; exit 1 ;; esac
rm -f "$STATE/ready"
trap 'ending=yes' TERM INT
while [ -z "$ending" ]; do
    round
    [ -z "$ending" ] || break
    sleep "$PERIOD" &
    sleeper=$!
    wait "$sleeper" # a signal ends it at once
done
[ -z "$sleeper" ] || kill "$sleeper" 2>/dev/null
leave
