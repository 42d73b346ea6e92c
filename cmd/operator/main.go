// Command operator runs the controllers and the collector.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsregistry "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"procman.dev/procman/api/v1alpha1"
	"procman.dev/procman/controllers"
	"procman.dev/procman/internal/agentapi"
)

func main() {
	if err := run(ctrl.SetupSignalHandler()); err != nil {
		ctrl.Log.Error(err, "operator ends")
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var (
		namespace   = flag.String("namespace", "procman", "namespace of the Processes, ProcessTypes and Jobs")
		collector   = flag.String("collector-bind-address", ":8090", "where agents are served")
		metrics     = flag.String("metrics-bind-address", ":8080", "where /metrics is served; 0 serves none")
		probes      = flag.String("health-bind-address", ":8081", "where /livez and /readyz are served")
		elect       = flag.Bool("leader-elect", true, "let one replica at a time run the controllers")
		concurrency = flag.Int("concurrency", 16, "how many Processes each controller works on at once")
		delivery    = flag.String("agent-delivery", string(controllers.DeliveryAuto), "how the agent gets into the workers of types that do not say: Embedded, ImageVolume, InitContainer, or Auto: ImageVolume where a probe sees it work, otherwise InitContainer")
		grace       = flag.Int("grace-seconds", 25, "what a worker gets between SIGTERM and SIGKILL")
		deliver     = flag.Int("delivery-seconds", int(agentapi.DeliveryTimeout.Seconds()), "how long after its worker's end an agent tries to deliver the result; the operator may be away so long")
		level       = flag.String("pod-security", "restricted", "the Pod Security Standard that process types keep to: restricted, baseline or privileged")
		job         controllers.JobConfig
	)
	flag.StringVar(&job.AgentImage, "agent-image", "", "the agent's image; required")
	flag.StringVar(&job.CollectorURL, "collector-url", "", "where agents find the collector; required")
	flag.StringVar(&job.ServiceAccount, "worker-service-account", "procman-worker", "the service account of the workers' pods, in the namespace")
	logging := zap.Options{}
	logging.BindFlags(flag.CommandLine)
	flag.Parse()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&logging)))

	job.AgentDelivery = v1alpha1.AgentDelivery(*delivery)
	job.GraceSeconds, job.DeliverySeconds = int32(*grace), int32(*deliver)
	policy, err := controllers.NewPodSecurity(*level)
	if err != nil {
		err = fmt.Errorf("--pod-security: %w", err)
	}
	if err := errors.Join(check(job), err); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("build scheme: %w", err)
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find cluster: %w", err)
	}
	config.QPS = -1 // the API server's own fairness is the limit, not a guess of ours
	listener, err := net.Listen("tcp", *collector)
	if err != nil {
		return fmt.Errorf("listen for agents: %w", err)
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         controllers.CacheOptions(*namespace),
		Metrics:                       server.Options{BindAddress: *metrics},
		HealthProbeBindAddress:        *probes,
		LivenessEndpointName:          "/livez",
		LeaderElection:                *elect,
		LeaderElectionID:              "procman-operator",
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return fmt.Errorf("make manager: %w", err)
	}
	synced := func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return errors.New("caches are not filled yet")
		}
		return nil
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("caches", synced)); err != nil {
		return fmt.Errorf("add probes: %w", err)
	}
	err = controllers.Setup(ctx, mgr, controllers.Options{
		Namespace: *namespace, Job: job, Policy: policy, Concurrency: *concurrency, CollectorListener: listener, Clock: clock.RealClock{},
		Metrics: metricsregistry.Registry,
	})
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// check names every setting that is not what it has to be.
func check(job controllers.JobConfig) error {
	var problems []error
	if job.AgentImage == "" {
		problems = append(problems, errors.New("--agent-image is not set"))
	}
	if job.CollectorURL == "" {
		problems = append(problems, errors.New("--collector-url is not set"))
	}
	switch job.AgentDelivery {
	case controllers.DeliveryAuto, v1alpha1.AgentEmbedded, v1alpha1.AgentImageVolume, v1alpha1.AgentInitContainer:
	default:
		problems = append(problems, fmt.Errorf("--agent-delivery is %q, expected Auto, Embedded, ImageVolume or InitContainer", job.AgentDelivery))
	}
	if job.GraceSeconds < 1 {
		problems = append(problems, fmt.Errorf("--grace-seconds is %d, expected a positive number", job.GraceSeconds))
	}
	if job.DeliverySeconds < 1 {
		problems = append(problems, fmt.Errorf("--delivery-seconds is %d, expected a positive number", job.DeliverySeconds))
	}
	return errors.Join(problems...)
}
