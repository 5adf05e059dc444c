/* Signals by number or name: "9", "KILL", "SIGKILL", "RTMIN+3". */
#ifndef BACKENDS_BASE_SIGNAME_H
#define BACKENDS_BASE_SIGNAME_H

/* The number, or -1. */
int signal_number(const char *text);

#endif
