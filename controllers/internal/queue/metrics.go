package queue

import "github.com/prometheus/client_golang/prometheus"

var (
	queued = prometheus.NewDesc("procman_processes_queued",
		"Processes that wait because maxConcurrent of their type are running.", []string{"type"}, nil)
	running = prometheus.NewDesc("procman_processes_running",
		"Processes that have had their turn and are not finished.", []string{"type"}, nil)
)

func newWaits() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "procman_queue_wait_seconds",
		Help:    "How long after its creation a Process's turn came, exact to a second.",
		Buckets: []float64{1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 3600, 14400, 86400},
	}, []string{"type"})
}

// Describe implements prometheus.Collector.
func (q *Queue) Describe(ch chan<- *prometheus.Desc) {
	ch <- queued
	ch <- running
	q.waits.Describe(ch)
}

// Collect implements prometheus.Collector. The gauges are counted when they are
// asked for. Their label is a registered type's name: a type that is gone has no
// series, and neither has one that Processes merely name.
func (q *Queue) Collect(ch chan<- prometheus.Metric) {
	for _, gauge := range q.gauges() {
		ch <- gauge
	}
	q.waits.Collect(ch)
}

func (q *Queue) gauges() []prometheus.Metric {
	q.mu.Lock()
	defer q.mu.Unlock()
	var gauges []prometheus.Metric
	for _, l := range q.lines {
		if l.registered {
			gauges = append(gauges,
				prometheus.MustNewConstMetric(queued, prometheus.GaugeValue, float64(l.waiting.Len()), l.typeName),
				prometheus.MustNewConstMetric(running, prometheus.GaugeValue, float64(len(l.holding)), l.typeName))
		}
	}
	return gauges
}
