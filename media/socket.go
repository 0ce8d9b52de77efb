package media

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket is a UDP socket as both kinds of leg use it. It reads and writes without telling the Go scheduler of a system
// call. Told, the scheduler's monitor finds the processor "in a system call" while other packets wait, hands it to another
// thread and stays awake to look for more of the kind. With fifty calls passed on, that cost a third of the CPU (from 3.8
// to 2.4 ms per call-second, 2026-11-23, BenchmarkPath in e2e) and half of the context switches. These calls don't block,
// so there is nothing to tell; waiting for a packet is still the runtime's.
//
// One goroutine reads at a time; any number may write.
type Socket struct {
	*net.UDPConn
	raw syscall.RawConn
	v6  bool

	in struct {
		sync.Mutex
		op  func(fd uintptr) bool // made once: a closure per packet would be an allocation per packet
		buf []byte
		n   int
		err syscall.Errno
		src sockaddr
	}
	out struct {
		sync.Mutex
		op  func(fd uintptr) bool
		buf []byte
		err syscall.Errno
		dst sockaddr
		len uintptr
	}
}

// sockaddr is struct sockaddr_in6, or sockaddr_in in its first 16 bytes.
type sockaddr = unix.RawSockaddrInet6

// NewSocket takes a socket over. Its other methods go on working; Close ends a read that waits.
func NewSocket(c *net.UDPConn) (*Socket, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("media socket: %w", err)
	}
	local, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok {
		return nil, fmt.Errorf("media socket: no local address: %w", net.ErrClosed)
	}
	s := &Socket{UDPConn: c, raw: raw, v6: local.IP.To4() == nil}
	s.in.op, s.out.op = s.receive, s.send
	return s, nil
}

// ReadFromUDPAddrPort reads one packet. IPv4 addresses come as IPv4, whatever the socket.
func (s *Socket) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	if len(b) == 0 {
		return 0, netip.AddrPort{}, unix.EINVAL
	}
	s.in.Lock()
	defer s.in.Unlock()
	s.in.buf = b
	err := s.raw.Read(s.in.op)
	s.in.buf = nil
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	if s.in.err != 0 {
		return 0, netip.AddrPort{}, s.in.err
	}
	return s.in.n, addrPort(&s.in.src), nil
}

// receive is called by the runtime until it returns true; between calls the runtime waits for the socket.
func (s *Socket) receive(fd uintptr) bool {
	for {
		size := uint32(unsafe.Sizeof(s.in.src))
		n, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&s.in.buf[0])), uintptr(len(s.in.buf)), unix.MSG_DONTWAIT,
			uintptr(unsafe.Pointer(&s.in.src)), uintptr(unsafe.Pointer(&size)))
		switch err {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		s.in.n, s.in.err = int(n), err
		return true
	}
}

// WriteToUDPAddrPort sends one packet. When the socket's buffer is full the packet is lost, which is better than late.
func (s *Socket) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if len(b) == 0 || to.Addr().Zone() != "" || !s.v6 && !to.Addr().Unmap().Is4() {
		return s.UDPConn.WriteToUDPAddrPort(b, to) // rare, or an error it words better
	}
	s.out.Lock()
	defer s.out.Unlock()
	s.out.buf, s.out.len = b, setAddr(&s.out.dst, to, s.v6)
	err := s.raw.Write(s.out.op)
	s.out.buf = nil
	if err != nil {
		return 0, err
	}
	if s.out.err != 0 {
		return 0, s.out.err
	}
	return len(b), nil
}

func (s *Socket) send(fd uintptr) bool {
	for {
		_, _, err := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&s.out.buf[0])), uintptr(len(s.out.buf)), unix.MSG_DONTWAIT,
			uintptr(unsafe.Pointer(&s.out.dst)), s.out.len)
		if err != unix.EINTR {
			s.out.err = err
			return true
		}
	}
}

// addrPort reads what the kernel wrote.
func addrPort(a *sockaddr) netip.AddrPort {
	port := bigEndian(a.Port)
	if a.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(a)).Addr), port)
	}
	ip := netip.AddrFrom16(a.Addr).Unmap()
	if a.Scope_id != 0 && ip.IsLinkLocalUnicast() {
		ip = ip.WithZone(strconv.Itoa(int(a.Scope_id)))
	}
	return netip.AddrPortFrom(ip, port)
}

// setAddr writes an address for the kernel and returns its length.
func setAddr(a *sockaddr, to netip.AddrPort, v6 bool) uintptr {
	if !v6 {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(a)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: bigEndian(to.Port()), Addr: to.Addr().Unmap().As4()}
		return unix.SizeofSockaddrInet4
	}
	*a = sockaddr{Family: unix.AF_INET6, Port: bigEndian(to.Port()), Addr: to.Addr().As16()} // IPv4 becomes ::ffff:a.b.c.d
	return unix.SizeofSockaddrInet6
}

// bigEndian turns a port into network order and back, on machines of either order.
func bigEndian(p uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&p))
	return uint16(b[0])<<8 | uint16(b[1])
}
