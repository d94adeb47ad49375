// Two tiny static programs for images, chosen by the name they are started under:
// pause holds a pod's namespaces and reaps its orphans; hello prints a line.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	if filepath.Base(os.Args[0]) == "hello" {
		host, _ := os.Hostname()
		fmt.Println("Hello from", host+": this image was pushed to the registry, and pulled from it by the kubelet.")
		return
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}
