package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: go run . JWKS_URL ISSUER AUDIENCE < passes")
		os.Exit(2)
	}
	verifier := PassVerifier{JWKS: os.Args[1], Issuer: os.Args[2], Audience: os.Args[3]}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		claims, err := verifier.Verify(lines.Text(), time.Now())
		switch {
		case err == nil:
			c := claims
			fmt.Printf("ok\t%s\t%s\t%s\t%s\t%s\t%d\n", c.Client, c.Queue, c.Booking, c.Reservation,
				*c.Item, c.Quantity)
		case errors.Is(err, ErrRefused):
			fmt.Printf("refused\t%v\n", err)
		default:
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
