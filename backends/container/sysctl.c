/* Kernel settings of namespaces: see sysctl.h. */
#include "backends/container/sysctl.h"

#include <stddef.h>
#include <string.h>

#include "backends/config.h"

unsigned sysctl_namespace(const char *name)
{
	static const struct {
		const char *prefix;
		unsigned namespace;
	} rows[] = {
		{ "net.", NS_NET },	  { "kernel.shm", NS_IPC }, { "kernel.msg", NS_IPC },
		{ "kernel.sem", NS_IPC }, { "fs.mqueue.", NS_IPC }, { "kernel.domainname", NS_UTS },
	};

	if (strstr(name, "..") || strchr(name, '/'))
		return 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strncmp(name, rows[i].prefix, strlen(rows[i].prefix)))
			return rows[i].namespace;
	return 0;
}
