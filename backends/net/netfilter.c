/* The packet filter's tables: see netfilter.h. */
#include "backends/net/netfilter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/base/text.h"
#include "backends/net/netaddr.h"

#define NFT_MS 5000

/* Runs nft on the rules, its words to `said`; its status, or -errno. Killed when it takes too long.
 */
static int nft_wait(pid_t pid)
{
	struct pollfd p = { (int)syscall(SYS_pidfd_open, pid, 0), POLLIN, 0 };
	int status = 0;

	if (p.fd < 0 || poll(&p, 1, NFT_MS) != 1)
		kill(pid, SIGKILL);
	if (p.fd >= 0)
		close(p.fd);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

/* Runs nft on the rules, its words to `said`. */
static int nft_run(int rules, int said)
{
	char name[] = "nft", option[] = "-f", input[] = "-";
	char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char *argv[] = { name, option, input, NULL }, *env[] = { path, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int r;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, rules, 0);
	posix_spawn_file_actions_adddup2(&files, said, 1);
	posix_spawn_file_actions_adddup2(&files, said, 2);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	r = posix_spawnp(&pid, "nft", &files, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return r ? -r : nft_wait(pid);
}

/* The first line that nft has said. */
static int nft_failed(int said, struct err *e)
{
	struct text text = TEXT_INIT;

	lseek(said, 0, SEEK_SET);
	text_read_fd(&text, said);
	err_set(e, -EIO, "nft: %.*s", (int)strcspn(text_str(&text), "\n"), text_str(&text));
	text_free(&text);
	return -EIO;
}

static int nft(const struct text *rules, struct err *e)
{
	int in = memfd_create("rules", MFD_CLOEXEC), said = memfd_create("said", MFD_CLOEXEC), r;

	if (in < 0 || said < 0 || text_failed(rules) ||
	    write(in, rules->data, rules->len) != (ssize_t)rules->len || lseek(in, 0, SEEK_SET) < 0)
		r = -ENOMEM;
	else
		r = nft_run(in, said);
	if (r == -ENOENT)
		r = err_set(e, -ENXIO, "there is no nft on this host (package nftables)");
	else if (r < 0)
		r = err_sys(e, -r, "nft");
	else if (r > 0)
		r = nft_failed(said, e);
	if (in >= 0)
		close(in);
	if (said >= 0)
		close(said);
	return r;
}

/* Turning it on is the administrator's: it concerns all of the host's interfaces. */
static int check_forwarding(sa_family_t family, struct err *e)
{
	const char *name =
		family == AF_INET ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding";
	char path[64] = "/proc/sys/", on = '0';
	int fd;

	strcat(path, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (read(fd, &on, 1) != 1)
			on = '0';
		close(fd);
	}
	return on == '1' ? 0 : err_set(e, -ENXIO, "this host does not forward (sysctl %s)", name);
}

int netfilter_nat(const char *table, const char *bridge, const struct net_addresses *networks,
		  struct err *e)
{
	struct text rules = TEXT_INIT;
	char network[NET_ADDRESS_TEXT];
	int r = 0;

	text_addf(&rules,
		  "table inet %s\ndelete table inet %s\ntable inet %s {\n"
		  "chain forward {\ntype filter hook forward priority filter\n"
		  "iifname != \"%s\" oifname \"%s\" ct state new,invalid drop\n}\n"
		  "chain postrouting {\ntype nat hook postrouting priority srcnat\n",
		  table, table, table, bridge, bridge);
	for (unsigned i = 0; r == 0 && i < networks->n; i++) {
		r = check_forwarding(networks->list[i].family, e);
		net_address_print(&networks->list[i], true, network);
		text_addf(&rules, "%s saddr %s oifname != \"%s\" masquerade\n",
			  networks->list[i].family == AF_INET ? "ip" : "ip6", network, bridge);
	}
	text_add(&rules, "}\n}\n");
	if (r == 0)
		r = nft(&rules, e);
	text_free(&rules);
	return r;
}

int netfilter_remove(const char *table, struct err *e)
{
	struct text rules = TEXT_INIT;
	int r;

	/* Made first: that it is not there is then no failure. */
	text_addf(&rules, "table inet %s\ndelete table inet %s\n", table, table);
	r = nft(&rules, e);
	text_free(&rules);
	return r;
}
