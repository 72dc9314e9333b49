// Verifies the passes of a bookingq gateway with Go's own crypto. See ../README.md.
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	leeway  = 30 * time.Second // clocks may differ
	maxAge  = 5 * time.Minute  // the JWKS is kept
	refresh = time.Minute      // between two readings for an unknown kid
	maxJWKS = 64 << 10         // bytes
)

// ErrRefused is the reason of every pass that must not be accepted. Other errors: the JWKS cannot
// be read.
var ErrRefused = errors.New("refused")

func refuse(reason string) error { return fmt.Errorf("%w: %s", ErrRefused, reason) }

// Claims are what a pass says.
type Claims struct {
	Issuer      string  `json:"iss"`
	Audience    string  `json:"aud"`
	Client      string  `json:"sub"`
	Queue       string  `json:"queue"`
	Booking     string  `json:"booking"`
	Reservation string  `json:"reservation"`
	Item        *string `json:"item"`
	Quantity    int     `json:"quantity"`
	Deadline    int64   `json:"deadline"`
	Expires     int64   `json:"exp"`
	Issued      *int64  `json:"iat"`
	ID          string  `json:"jti"`
}

// PassVerifier checks passes with the keys of a JWKS. It may be used by several goroutines.
type PassVerifier struct {
	JWKS, Issuer, Audience string

	mutex     sync.Mutex
	keys      map[string]ed25519.PublicKey
	readAt    time.Time
	refreshAt time.Time
}

// Verify returns the claims of a pass.
func (v *PassVerifier) Verify(pass string, now time.Time) (*Claims, error) {
	parts := strings.Split(pass, ".")
	if len(pass) > 4096 || len(parts) != 3 {
		return nil, refuse("not three parts")
	}
	var decoded [3][]byte
	for i, part := range parts {
		bytes, err := decode(part)
		if err != nil {
			return nil, err
		}
		decoded[i] = bytes
	}
	var header struct {
		Alg  string           `json:"alg"`
		Kid  *string          `json:"kid"`
		Crit *json.RawMessage `json:"crit"`
	}
	if json.Unmarshal(decoded[0], &header) != nil || header.Kid == nil {
		return nil, refuse("no kid")
	}
	key, err := v.key(*header.Kid, now)
	if err != nil {
		return nil, err
	}
	// The key decides the algorithm; the header must agree.
	if header.Alg != "EdDSA" || header.Crit != nil {
		return nil, refuse("wrong alg")
	}
	if !ed25519.Verify(key, []byte(parts[0]+"."+parts[1]), decoded[2]) {
		return nil, refuse("wrong signature")
	}
	var claims Claims
	if json.Unmarshal(decoded[1], &claims) != nil {
		return nil, refuse("claims of a wrong type")
	}
	return &claims, v.check(&claims, now)
}

func (v *PassVerifier) check(claims *Claims, now time.Time) error {
	switch {
	case claims.Issuer != v.Issuer:
		return refuse("foreign iss")
	case claims.Audience != v.Audience:
		return refuse("foreign aud")
	case !now.Before(time.Unix(claims.Expires, 0).Add(leeway)):
		return refuse("expired")
	case claims.Issued == nil || time.Unix(*claims.Issued, 0).Add(-leeway).After(now):
		return refuse("from the future")
	case claims.Client == "" || claims.Queue == "" || claims.Booking == "" || claims.Reservation == "":
		return refuse("a claim is missing")
	// It may be empty, but it is there.
	case claims.Item == nil:
		return refuse("no item")
	case claims.Quantity < 1 || claims.Quantity > 100:
		return refuse("no quantity")
	}
	return nil
}

func (v *PassVerifier) key(kid string, now time.Time) (ed25519.PublicKey, error) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if now.Sub(v.readAt) > maxAge {
		if err := v.read(now); err != nil {
			return nil, err
		}
	}
	if v.keys[kid] == nil && now.Sub(v.refreshAt) > refresh {
		v.refreshAt = now
		if err := v.read(now); err != nil {
			return nil, err
		}
	}
	if key := v.keys[kid]; key != nil {
		return key, nil
	}
	return nil, refuse("unknown kid")
}

func (v *PassVerifier) read(now time.Time) error {
	refuseRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client := http.Client{Timeout: 5 * time.Second, CheckRedirect: refuseRedirect}
	answer, err := client.Get(v.JWKS)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", v.JWKS, answer.Status)
	}
	var set struct {
		Keys []struct{ Kty, Crv, Kid, Use, X string }
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxJWKS)).Decode(&set); err != nil {
		return fmt.Errorf("%s: %w", v.JWKS, err)
	}
	keys := map[string]ed25519.PublicKey{}
	for _, jwk := range set.Keys {
		isSignature := jwk.Use == "" || jwk.Use == "sig"
		if jwk.Kty != "OKP" || jwk.Crv != "Ed25519" || jwk.Kid == "" || !isSignature {
			continue
		}
		public, err := decode(jwk.X)
		if err != nil || len(public) != ed25519.PublicKeySize {
			return fmt.Errorf("%s: the key %q is no Ed25519 key", v.JWKS, jwk.Kid)
		}
		keys[jwk.Kid] = public
	}
	v.keys, v.readAt = keys, now
	return nil
}

// Canonical base64url only: Go skips line ends.
func decode(part string) ([]byte, error) {
	bytes, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil || base64.RawURLEncoding.EncodeToString(bytes) != part {
		return nil, refuse("not base64url")
	}
	return bytes, nil
}
