// The readers of three programs that the tests do not run, each under a name of its own. A reader does with a file
// what its program does:
//
//	parse-kind FILE               makes the cluster, by way of the `docker` that stands on PATH
//	parse-k3s FILE REFERENCE      asks for the image as the file says, and prints its digest
//	parse-buildkit FILE REFERENCE the same
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/google/go-containerregistry/pkg/name"
	buildkitd "github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/util/resolver"
	"github.com/rancher/wharfie/pkg/registries"
	"sigs.k8s.io/kind/pkg/cluster"
)

var readers = map[string]func(file, reference string) error{
	"parse-kind": kind, "parse-k3s": k3s, "parse-buildkit": buildkit,
}

func main() {
	read := readers[filepath.Base(os.Args[0])]
	arguments := append(os.Args[1:], "", "")
	if read == nil || arguments[0] == "" {
		fmt.Fprintln(os.Stderr, "usage: parse-kind FILE, parse-k3s FILE REFERENCE or parse-buildkit FILE REFERENCE")
		os.Exit(2)
	}
	if err := read(arguments[0], arguments[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func kind(file, _ string) error {
	provider := cluster.NewProvider(cluster.ProviderWithDocker())
	return provider.Create("parsed", cluster.CreateWithConfigFile(file))
}

func k3s(file, reference string) error {
	registry, err := registries.GetPrivateRegistries(file)
	if err != nil {
		return err
	}
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return err
	}
	image, err := registry.Image(parsed)
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	fmt.Println(digest)
	return nil
}

func buildkit(file, reference string) error {
	config, err := buildkitd.LoadFile(file)
	if err != nil {
		return err
	}
	hosts := func(host string) ([]docker.RegistryHost, error) {
		found, err := resolver.NewRegistryConfig(config.Registries)(host)
		for i := range found {
			found[i].Authorizer = docker.NewDockerAuthorizer() // buildkitd's own asks its client for credentials
		}
		return found, err
	}
	_, descriptor, err := docker.NewResolver(docker.ResolverOptions{Hosts: hosts}).Resolve(context.Background(), reference)
	if err != nil {
		return err
	}
	fmt.Println(descriptor.Digest)
	return nil
}
