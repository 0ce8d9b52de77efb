package appliance

import (
	"context"
	"slices"
	"sync"

	"deskbridge/recorder"
	"deskbridge/store"
)

// maxExports bounds the exports whose layout is remembered, so that a browser that seeks does not cost a walk through the
// file each time. One takes some hundred kilobytes at most.
const maxExports = 32

type exportKey struct {
	id     string
	format recorder.ExportFormat
	state  store.RecordingState // one that is finished meanwhile is laid out anew
}

// exportCache remembers the layouts used last.
type exportCache struct {
	mu   sync.Mutex
	list []cachedExport // the last used last
}

type cachedExport struct {
	key exportKey
	e   *recorder.Export
}

func newExportCache() *exportCache { return &exportCache{} }

// get returns what is remembered, or makes it. A running recording grows, so its layout is not kept.
func (c *exportCache) get(ctx context.Context, k exportKey, make func(context.Context) (*recorder.Export, error)) (*recorder.Export, error) {
	c.mu.Lock()
	if i := slices.IndexFunc(c.list, func(x cachedExport) bool { return x.key == k }); i >= 0 {
		x := c.list[i]
		c.list = append(slices.Delete(c.list, i, i+1), x)
		c.mu.Unlock()
		return x.e, nil
	}
	c.mu.Unlock()
	e, err := make(ctx)
	if err != nil || k.state != store.RecordingFinished {
		return e, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(slices.DeleteFunc(c.list, func(x cachedExport) bool { return x.key == k }), cachedExport{k, e})
	if len(c.list) > maxExports {
		c.list = slices.Delete(c.list, 0, len(c.list)-maxExports)
	}
	return e, nil
}

func (c *exportCache) drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = slices.DeleteFunc(c.list, func(x cachedExport) bool { return x.key.id == id })
}
