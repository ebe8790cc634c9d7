// Command gpu-device-plugin advertises SIMULATED graphics processors to the kubelet. No device exists: only
// the accounting of Kubernetes (requests, quotas, taints, scheduling) is exercised by them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

type plugin struct {
	api.UnimplementedDevicePluginServer
	devices []*api.Device
}

func newPlugin(count int) *plugin {
	p := &plugin{}
	for i := range count {
		p.devices = append(p.devices, &api.Device{ID: fmt.Sprintf("simulated-gpu-%d", i), Health: api.Healthy})
	}
	return p
}

func (p *plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (p *plugin) GetPreferredAllocation(context.Context, *api.PreferredAllocationRequest) (*api.PreferredAllocationResponse, error) {
	return &api.PreferredAllocationResponse{}, nil
}

func (p *plugin) PreStartContainer(context.Context, *api.PreStartContainerRequest) (*api.PreStartContainerResponse, error) {
	return &api.PreStartContainerResponse{}, nil
}

func (p *plugin) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	if err := stream.Send(&api.ListAndWatchResponse{Devices: p.devices}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func (p *plugin) Allocate(_ context.Context, request *api.AllocateRequest) (*api.AllocateResponse, error) {
	response := &api.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		// Deliberately not NVIDIA_VISIBLE_DEVICES: a workload must be able to see that this is no GPU.
		response.ContainerResponses = append(response.ContainerResponses, &api.ContainerAllocateResponse{
			Envs: map[string]string{"RECSTACK_SIMULATED_GPUS": strings.Join(container.DevicesIds, ",")},
		})
	}
	return response, nil
}

// serve registers with the kubelet and returns when the kubelet has dropped the plugin's socket, which it
// does whenever it restarts.
func serve(p *plugin, directory, resource string) error {
	endpoint := "recstack-simulated-gpu.sock"
	path := filepath.Join(directory, endpoint)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	defer server.Stop()
	api.RegisterDevicePluginServer(server, p)
	go func() { _ = server.Serve(listener) }()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	connection, err := grpc.NewClient("unix://"+filepath.Join(directory, "kubelet.sock"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if _, err = api.NewRegistrationClient(connection).Register(ctx, &api.RegisterRequest{
		Version: api.Version, Endpoint: endpoint, ResourceName: resource,
	}); err != nil {
		return err
	}
	log.Printf("registered %d SIMULATED devices as %s", len(p.devices), resource)
	for {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("the kubelet dropped the socket: %w", err)
		}
		time.Sleep(time.Second)
	}
}

func main() {
	count := flag.Int("count", 2, "number of simulated devices")
	resource := flag.String("resource", "nvidia.com/gpu", "extended resource name")
	directory := flag.String("directory", api.DevicePluginPath, "the kubelet's device plugin directory")
	flag.Parse()
	p := newPlugin(*count)
	for {
		if err := serve(p, *directory, *resource); err != nil {
			log.Print(err)
		}
		time.Sleep(500 * time.Millisecond)
	}
}
