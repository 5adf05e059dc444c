/*
 * struct spare: a monitor in waiting, as the daemon has it; spare_wait.h is the process itself.
 *
 * To execute a program, load its libraries and raise walls around it takes longer than most of what
 * follows. A spare has done that before there is a machine, and is told of it by ADOPT, with the
 * listener on which the machine's daemon has connected. There is at most one of a kind of machine
 * at a time, made when a machine has been started: a host that starts none keeps none. It is the
 * daemon's child, and ends with the daemon's end of the socket.
 *
 * One that has raised walls clones itself as the last of them: into a pid namespace, and into the
 * machine's control group, since to move there waits for the whole host. The clone is another
 * child of the daemon, and the monitor; the spare ends.
 *
 * Others need not be executed each: they are copies of one process that was, the mould, which does
 * nothing else. Most of what an execution costs is the loading of the program, on a virtual host
 * by far. A VM's are no copies, so that what one guest learns of its monitor's memory is nothing
 * about another's.
 *
 * And one whose machine has ended by itself can wait again, for a machine of the same owner's: what
 * a copy costs is its pages, each of which it takes a fault to have, and their end. Where machines
 * follow one upon the other the same process so serves one after the other; the next copy is then
 * made only where it does not come back within a second, or another start finds none.
 */
#ifndef BACKENDS_MONITOR_SPARE_H
#define BACKENDS_MONITOR_SPARE_H

#include <stdbool.h>
#include <sys/types.h>

#include "backends/base/err.h"

struct event_base;
struct spare;

/* All by the loop's thread. */

/*
 * None is made yet. kind: the word by which the process knows what it is for; walled: whether that
 * makes it raise walls; program: as in spawn.h, open as long as the spare is there.
 */
int spare_new(struct event_base *loop, const char *kind, bool walled, int program,
	      struct spare **ret, struct err *e);

/*
 * Has one made, unless there is one, and does not wait for that. That there can be none is nobody's
 * failure. One that has to be executed is made when spare_due() says so, or a second later: the
 * machine that has just started comes first.
 */
void spare_want(struct spare *s);
/* That machine has shown that it runs: what is wanted is made in a moment. */
void spare_due(struct spare *s);

/* For which machine: its descriptors stay the caller's. */
struct spare_machine {
	const char *title;
	uid_t owner;
	int listener;
	int group; /* directory of version 2 into which a walled one is to be born, or -1 */
};

/* Who has become its monitor: the caller's, who closes the socket or gives it back. */
struct spare_taken {
	pid_t pid; /* 0: only HELLO will tell */
	int fd;	   /* by which it waits again, or -1 */
};
#define SPARE_UNKNOWN ((struct spare_taken){ 0, -1 })

/*
 * Makes the spare, which is made first if there is none, the monitor that listens on w->listener.
 * -ENXIO: there is none.
 */
int spare_take(struct spare *s, const struct spare_machine *w, struct spare_taken *ret);
/*
 * It has said AGAIN, after a machine of this owner's. False: it is not needed, or no child of ours;
 * it stays the caller's and ends with its socket.
 */
bool spare_back(struct spare *s, const struct spare_taken *taken, uid_t owner);

/* Ends the one there is, and the mould. */
void spare_drop(struct spare *s);
void spare_free(struct spare *s);

#endif
