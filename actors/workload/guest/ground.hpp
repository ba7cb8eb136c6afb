#pragma once

/// How a guest comes up before anything runs in it: modules, ports, disks, network; on libc alone.

#include "actors/workload/guest/lines.hpp"
#include "actors/workload/shim/small_files.hpp"

#include <arpa/inet.h>
#include <linux/random.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include <initializer_list>

namespace novacron::guest {

using shim::text_into;

inline void put(const char* file, const char* words) {
  const int fd = open(file, O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return;
  shim::write_all(fd, words, strlen(words));
  close(fd);
}

/// The content of a small file without its line end.
inline void read_line(const char* file, char* into, size_t size) {
  const int fd = open(file, O_RDONLY | O_CLOEXEC);
  const ssize_t count = fd >= 0 ? read(fd, into, size - 1) : -1;
  if (fd >= 0)
    close(fd);
  into[count > 0 ? count : 0] = 0;
  if (char* feed = strchr(into, '\n'))
    *feed = 0;
}

/// Loads what is in the directory, in the order of its names.
inline void load_modules(const char* directory) {
  dirent** entries = nullptr;
  const int count = scandir(directory, &entries, nullptr, alphasort);
  for (int i = 0; i < count; ++i) {
    char name[512];
    text_into(name, sizeof name, "%s/%s", directory, entries[i]->d_name);
    const int fd = entries[i]->d_name[0] != '.' ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
      syscall(SYS_finit_module, fd, "", 0);
      close(fd);
    }
    free(entries[i]);
  }
  free(entries);
}

inline void mount_kernel_files() {
  for (const char* name : {"/proc", "/sys", "/dev", "/root", "/groups"})
    mkdir(name, 0755);
  mount("proc", "/proc", "proc", 0, "");
  mount("sysfs", "/sys", "sysfs", 0, "");
  mount("devtmpfs", "/dev", "devtmpfs", 0, "");
}

/// Whether `word` is among those that the kernel was started with.
inline bool kernel_has_word(const char* word) {
  char words[4096];
  read_line("/proc/cmdline", words, sizeof words);
  char* rest = nullptr;
  for (const char* each = strtok_r(words, " ", &rest); each != nullptr; each = strtok_r(nullptr, " ", &rest))
    if (strcmp(each, word) == 0)
      return true;
  return false;
}

/// Whether a module that is loaded from now on takes the devices that are there.
inline void take_devices(bool at_once) {
  put("/sys/bus/virtio/drivers_autoprobe", at_once ? "1" : "0");
}

/// Gives each device that nobody has to the module that is loaded for it.
inline void take_devices_now() {
  take_devices(true);
  DIR* devices = opendir("/sys/bus/virtio/devices");
  while (const dirent* entry = devices != nullptr ? readdir(devices) : nullptr)
    if (entry->d_name[0] != '.')
      put("/sys/bus/virtio/drivers_probe", entry->d_name);
  if (devices != nullptr)
    closedir(devices);
}

/// Clones of one machine would draw the same numbers: from here on they do not. Wipes the digits. False when there were
/// none or the kernel did not take them; then they may.
inline bool mix_chance(char* digits) {
  constexpr size_t bytes_max = 64;
  struct {
    int bits;
    int bytes;
    unsigned char content[bytes_max];
  } given = {};
  for (size_t i = 0; i < bytes_max && digits[2 * i] != 0 && digits[2 * i + 1] != 0; ++i) {
    given.content[i] =
        static_cast<unsigned char>(value_of_digit(digits[2 * i]) << 4 | value_of_digit(digits[2 * i + 1]));
    given.bytes = static_cast<int>(i + 1);
  }
  given.bits = 8 * given.bytes;
  const int chance = open("/dev/urandom", O_RDWR | O_CLOEXEC);
  // Else the kernel would draw on from what it had, for up to five minutes.
  const bool mixed = given.bytes > 0 && ioctl(chance, RNDADDENTROPY, &given) == 0 && ioctl(chance, RNDRESEEDCRNG) == 0;
  if (chance >= 0)
    close(chance);
  explicit_bzero(&given, sizeof given);
  explicit_bzero(digits, strlen(digits));
  return mixed;
}

/// Whoever says what the time is says it before it is heard: it is at least that.
inline void advance_clock(int64_t nanoseconds) {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  constexpr int64_t second = 1'000'000'000;
  if (nanoseconds <= now.tv_sec * second + now.tv_nsec)
    return;
  now.tv_sec = nanoseconds / second;
  now.tv_nsec = nanoseconds % second;
  clock_settime(CLOCK_REALTIME, &now);
}

inline int find_port(const char* wanted) {
  DIR* ports = opendir("/sys/class/virtio-ports");
  int found = -1;
  while (const dirent* entry = ports != nullptr ? readdir(ports) : nullptr) {
    char file[512], name[128];
    text_into(file, sizeof file, "/sys/class/virtio-ports/%s/name", entry->d_name);
    read_line(file, name, sizeof name);
    if (strcmp(name, wanted) != 0)
      continue;
    text_into(file, sizeof file, "/dev/%s", entry->d_name);
    found = open(file, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    break;
  }
  if (ports != nullptr)
    closedir(ports);
  return found;
}

/// The port that novacron calls `wanted`; -1 when there is none. Ports are announced one after the other, some of them
/// later than the first program runs.
inline int open_port(const char* wanted) {
  const timespec moment = {0, 2'000'000};
  int found = -1;
  for (int attempt = 0; attempt < 5000 && (found = find_port(wanted)) < 0; ++attempt)
    nanosleep(&moment, nullptr);
  return found;
}

/// The disk with that serial number, as a name in /dev; empty when there is none. Their order is the machine's affair.
inline void find_disk(const char* serial, char* into, size_t size) {
  *into = 0;
  DIR* disks = opendir("/sys/block");
  while (const dirent* entry = disks != nullptr ? readdir(disks) : nullptr) {
    char file[512], name[64];
    text_into(file, sizeof file, "/sys/block/%s/serial", entry->d_name);
    read_line(file, name, sizeof name);
    if (strcmp(name, serial) == 0)
      text_into(into, size, "/dev/%s", entry->d_name);
  }
  if (disks != nullptr)
    closedir(disks);
}

inline void set_address(int any, ifreq& device, unsigned long what, in_addr value) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr = value;
  memcpy(&device.ifr_addr, &address, sizeof address);
  ioctl(any, what, &device);
}

inline void bring_up(const char* name) {
  const int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq device = {};
  text_into(device.ifr_name, sizeof device.ifr_name, "%s", name);
  device.ifr_flags = IFF_UP;
  ioctl(any, SIOCSIFFLAGS, &device);
  close(any);
}

/// A clone has the address of its template until it is told its own.
inline void set_hardware_address(int any, ifreq device, const char* text) {
  unsigned char bytes[6];
  if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", bytes, bytes + 1, bytes + 2, bytes + 3, bytes + 4, bytes + 5) != 6)
    return;
  device.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  memcpy(device.ifr_hwaddr.sa_data, bytes, sizeof bytes);
  ioctl(any, SIOCSIFHWADDR, &device);
}

/// Gives eth0 its addresses and the route out.
inline void join_network(const char* hardware, const char* address, int prefix, const char* gateway) {
  const int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq device = {};
  strcpy(device.ifr_name, "eth0");
  set_hardware_address(any, device, hardware);
  in_addr value = {};
  inet_pton(AF_INET, address, &value);
  set_address(any, device, SIOCSIFADDR, value);
  value.s_addr = prefix > 0 ? htonl(~0u << (32 - prefix)) : 0;
  set_address(any, device, SIOCSIFNETMASK, value);
  bring_up("eth0");
  rtentry route = {};
  sockaddr_in hop = {};
  hop.sin_family = AF_INET;
  memcpy(&route.rt_dst, &hop, sizeof hop);
  memcpy(&route.rt_genmask, &hop, sizeof hop);
  if (inet_pton(AF_INET, gateway, &hop.sin_addr) == 1) {
    memcpy(&route.rt_gateway, &hop, sizeof hop);
    route.rt_flags = RTF_UP | RTF_GATEWAY;
    ioctl(any, SIOCADDRT, &route);
  }
  close(any);
}

} // namespace novacron::guest
