// Copyright The Process Manager Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	corev1 "k8s.io/api/core/v1"
)

// Keychain contains the credentials of pull secrets. An entry is for a registry or for a
// path in it. The entry with the longest matching path is used, as by the kubelet. The
// kubelet also tries other entries if that one fails; a Keychain does not.
type Keychain []credential

type credential struct {
	host, path string
	authn.AuthConfig
}

// NewKeychain reads Secrets of type kubernetes.io/dockerconfigjson. If a Secret is
// invalid, the error has its name, but nothing of its content.
func NewKeychain(secrets []corev1.Secret) (Keychain, error) {
	var k Keychain
	for _, secret := range secrets {
		var config struct {
			Auths map[string]authn.AuthConfig `json:"auths"`
		}
		if secret.Type != corev1.SecretTypeDockerConfigJson {
			return nil, fmt.Errorf("secret %s is of type %s, expected %s", secret.Name, secret.Type, corev1.SecretTypeDockerConfigJson)
		}
		if json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &config) != nil {
			return nil, fmt.Errorf("secret %s: %s is not a Docker configuration", secret.Name, corev1.DockerConfigJsonKey)
		}
		for entry, auth := range config.Auths {
			host, path := split(entry)
			k = append(k, credential{host: host, path: path, AuthConfig: auth})
		}
	}
	slices.SortStableFunc(k, func(a, b credential) int { return len(b.path) - len(a.path) }) // the longest first
	return k, nil
}

// split returns the host and the path of an entry such as https://index.docker.io/v1/ or
// registry.example/team.
func split(entry string) (host, path string) {
	entry = strings.TrimPrefix(strings.TrimPrefix(entry, "https://"), "http://")
	host, path, _ = strings.Cut(strings.TrimSuffix(entry, "/"), "/")
	if path == "v1" || path == "v2" { // the path of the API, not of an image
		path = ""
	}
	if host == "docker.io" || host == "registry-1.docker.io" {
		host = "index.docker.io"
	}
	return host, path
}

// Resolve returns the credentials for a repository; authn.Anonymous if there are none.
func (k Keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	_, repository, _ := strings.Cut(target.String(), "/")
	for _, c := range k {
		if matches(c.host, target.RegistryStr()) && (c.path == "" || c.path == repository || strings.HasPrefix(repository, c.path+"/")) {
			return authn.FromConfig(c.AuthConfig), nil
		}
	}
	return authn.Anonymous, nil
}

// matches reports whether a host matches the host of an entry. A * in the entry matches
// one label, or a part of a label.
func matches(entry, host string) bool {
	want, got := strings.Split(entry, "."), strings.Split(host, ".")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], got[i]); err != nil || !ok {
			return false
		}
	}
	return true
}
