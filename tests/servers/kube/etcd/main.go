// Command etcd is the storage of the API server, of the version whose client that server has. Debian's may be older, and then
// some of what a cluster does is missing: a watch that starts with all there is, for one.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
