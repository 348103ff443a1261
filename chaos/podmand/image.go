package podmand

import (
	"archive/tar"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ImportBinary makes an image out of one static program, without any registry.
// The program is /bin/<its base name> in the image, PATH is /bin, and entry is
// the entry point (none when empty). Of busybox all its commands are there too.
func (s *Service) ImportBinary(ctx context.Context, path, name string, entry ...string) error {
	if err := checkStatic(path); err != nil {
		return fmt.Errorf("import image %s: %w", name, err)
	}
	base := filepath.Base(path)
	var links []string
	if base == "busybox" {
		list, err := exec.CommandContext(ctx, path, "--list").Output()
		if err != nil {
			return fmt.Errorf("import image %s: ask %s for its commands: %w", name, path, err)
		}
		links = strings.Fields(string(list))
	}
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(writeRootfs(writer, path, base, links)) }()
	defer reader.Close()
	return s.ImportTar(ctx, reader, name, entry...)
}

// ImportTar makes an image out of a root file system in a tar.
func (s *Service) ImportTar(ctx context.Context, rootfs io.Reader, name string, entry ...string) error {
	query := url.Values{"reference": {name}, "changes": {"ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin"}}
	if len(entry) > 0 {
		quoted := make([]string, len(entry))
		for i, word := range entry {
			quoted[i] = fmt.Sprintf("%q", word)
		}
		query.Add("changes", "ENTRYPOINT ["+strings.Join(quoted, ",")+"]")
	}
	response, err := s.do(ctx, http.MethodPost, "/images/import", query, rootfs)
	if err != nil {
		return fmt.Errorf("import image %s: %w", name, err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return fmt.Errorf("import image %s: %w", name, err)
	}
	return nil
}

// checkStatic refuses a program that needs libraries, which the image would
// lack.
func checkStatic(path string) error {
	file, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("read program %s: %w", path, err)
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			return fmt.Errorf("program %s is linked dynamically: build it with CGO_ENABLED=0", path)
		}
	}
	return nil
}

// writeRootfs writes the root file system.
func writeRootfs(w io.Writer, path, base string, links []string) error {
	archive := tar.NewWriter(w)
	for _, dir := range []string{"bin", "etc", "proc", "sys", "dev", "tmp", "root", "run", "var"} {
		mode := int64(0o755)
		if dir == "tmp" {
			mode = 0o1777
		}
		if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: mode}); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n"} {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text))}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.WriteString(archive, text); err != nil {
			return err
		}
	}
	if err := writeProgram(archive, path, base); err != nil {
		return err
	}
	for _, link := range links {
		if link == base {
			continue
		}
		header := &tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + link, Linkname: base, Mode: 0o777}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
	}
	return archive.Close()
}

func writeProgram(archive *tar.Writer, path, base string) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: "bin/" + base, Mode: 0o755, Size: info.Size()}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, file)
	return err
}
