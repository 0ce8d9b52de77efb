package recorder

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type retentionMetrics struct {
	removed                                *prometheus.CounterVec
	errors                                 prometheus.Counter
	suspended, bytes, quota, over, unknown prometheus.Gauge
}

func newRetentionMetrics(r prometheus.Registerer) (*retentionMetrics, error) {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "deskbridge_retention_" + name, Help: help})
	}
	m := &retentionMetrics{
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_retention_removed_total",
			Help: "Recordings deleted, by why: retention, quota, archived, erased, leftover."}, []string{"why"}),
		errors:    prometheus.NewCounter(prometheus.CounterOpts{Name: "deskbridge_retention_errors_total", Help: "Looks that failed, and copies that could not be deleted."}),
		suspended: gauge("suspended", "1 while no recording is deleted because the wall clock moved."),
		bytes:     gauge("recordings_bytes", "Size of all recordings."),
		quota:     gauge("quota_bytes", "Quota of all recordings; 0: none."),
		over:      gauge("over_quota_bytes", "What is over the quota and may not be deleted: legal holds."),
		unknown:   gauge("unknown_files", "Files in the recording folder that are in no record."),
	}
	return m, registerAll(r, "retention", m.all())
}

func (m *retentionMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.removed, m.errors, m.suspended, m.bytes, m.quota, m.over, m.unknown}
}

func (m *retentionMetrics) unregister(r prometheus.Registerer) { unregisterAll(r, m.all()) }

// registerAll registers all or none.
func registerAll(r prometheus.Registerer, what string, all []prometheus.Collector) error {
	if r == nil {
		return nil
	}
	for i, c := range all {
		if err := r.Register(c); err != nil {
			unregisterAll(r, all[:i])
			return fmt.Errorf("register %s metrics: %w", what, err)
		}
	}
	return nil
}

func unregisterAll(r prometheus.Registerer, all []prometheus.Collector) {
	if r == nil {
		return
	}
	for _, c := range all {
		r.Unregister(c)
	}
}
