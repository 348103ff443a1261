package storage

import (
	"reflect"
	"testing"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"
)

func TestCacheAnswersAsTheStoreWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := raft.NewInmemStore()
		cache := newCached(store, rapid.IntRange(1, 8).Draw(t, "entries"), rapid.IntRange(0, 200).Draw(t, "bytes"))
		first, last, term := uint64(1), uint64(0), uint64(1)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"store", "store", "store", "head", "tail"}).Draw(t, "step") {
			case "store":
				var batch []*raft.Log
				for range rapid.IntRange(1, 4).Draw(t, "batch") {
					last++
					batch = append(batch, &raft.Log{Index: last, Term: term, Data: make([]byte, rapid.IntRange(0, 90).Draw(t, "size"))})
				}
				if err := cache.StoreLogs(batch); err != nil {
					t.Fatal(err)
				}
			case "head":
				if last < first {
					continue
				}
				to := rapid.Uint64Range(first, last).Draw(t, "to")
				if err := cache.DeleteRange(first, to); err != nil {
					t.Fatal(err)
				}
				first = to + 1
			case "tail":
				if last < first {
					continue
				}
				from := rapid.Uint64Range(first, last).Draw(t, "from")
				if err := cache.DeleteRange(from, last); err != nil {
					t.Fatal(err)
				}
				last = from - 1
				term++
			}
			for index := uint64(1); index <= last+1; index++ {
				var got, want raft.Log
				gotErr, wantErr := cache.GetLog(index, &got), store.GetLog(index, &want)
				if gotErr != wantErr || !reflect.DeepEqual(got, want) {
					t.Fatalf("entry %d: cache says %+v, %v; store says %+v, %v", index, got, gotErr, want, wantErr)
				}
			}
			held, allowed := 0, cache.limit
			for _, cached := range cache.ring {
				if cached != nil {
					held += len(cached.Data)
				}
				if cached != nil && cached.Index == cache.next-1 {
					allowed = max(allowed, len(cached.Data)) // the newest stays
				}
			}
			if held != cache.bytes || held > allowed {
				t.Fatalf("holds %d bytes, counts %d, may hold %d", held, cache.bytes, allowed)
			}
		}
	})
}
