/* Signals: by number or name, as "9", "KILL", "SIGKILL", "RTMIN+3"; and those that are ignored. */
#ifndef BACKENDS_BASE_SIGNAME_H
#define BACKENDS_BASE_SIGNAME_H

/* The number, or -1. */
int signal_number(const char *text);
/* What is ignored does again what it does by default. Handlers stay. Async-signal-safe. */
void signals_unignore(void);

#endif
