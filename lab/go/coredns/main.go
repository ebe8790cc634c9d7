// Command coredns is CoreDNS with the plugins that the lab's Corefile names and no others: its full set takes
// much longer to build, most of that for clouds that the lab does not have.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() {
	// The order in which a query passes them, as in CoreDNS' own plugin.cfg.
	dnsserver.Directives = []string{"health", "ready", "errors", "template", "kubernetes"}
	coremain.Run()
}
