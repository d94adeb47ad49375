// pulumi-resource-kubernetes: upstream's provider, with the name and version that its SDK asks for.
// The empty schema is enough for the engine; only `pulumi package get-schema` would want the full one.
package main

import "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"

func main() {
	provider.Serve("kubernetes", "4.25.0", []byte(`{"name":"kubernetes"}`), []byte(`{}`))
}
