/* The part of a crash report that needs nothing but the kernel: written by the signal handler itself.
 *
 * What may allocate, take locks or run Python comes last, under an alarm, and a second crash ends the report there: the
 * process always dies of the signal that it crashed by, at once or a few seconds later.
 */
#ifndef ROTOMDB_CRASH_SIGNALS_H
#define ROTOMDB_CRASH_SIGNALS_H

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__GLIBC__) || defined(__APPLE__)
#include <execinfo.h>
#define ROTOM_HAS_BACKTRACE 1
#else
#define ROTOM_HAS_BACKTRACE 0
#endif

#ifdef __linux__
#include <sys/syscall.h>
#define rotom_thread_id() ((long)syscall(SYS_gettid))
#else
#define rotom_thread_id() ((long)getpid())
#endif

#define ROTOM_CRASH_STACK (4 << 20) /* Python runs on it */
#define ROTOM_CRASH_FRAMES 100

static const int rotom_crash_numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

static struct {
    char path[4096];   /* of the log; empty: standard output */
    char product[64];  /* name and version */
    long utc_offset;   /* seconds */
    pid_t pid;         /* of the server: another one is a child */
    void (*rest)(int fd);
    void (*python_stack)(int fd);
    unsigned seconds;  /* that `rest` may take */
    volatile sig_atomic_t active;
    volatile sig_atomic_t number;
    volatile long thread;
    int fd;
} rotom_crash;

static void rotom_crash_configure(
    const char *path, const char *product, long utc_offset, unsigned seconds, void (*rest)(int),
    void (*python_stack)(int)) {
    strncpy(rotom_crash.path, path, sizeof rotom_crash.path - 1);
    strncpy(rotom_crash.product, product, sizeof rotom_crash.product - 1);
    rotom_crash.utc_offset = utc_offset;
    rotom_crash.seconds = seconds;
    rotom_crash.pid = getpid();
    rotom_crash.rest = rest;
    rotom_crash.python_stack = python_stack;
}

static void rotom_crash_put(int fd, const char *text) {
    size_t left = strlen(text);
    while (left) {
        ssize_t count = write(fd, text, left);
        if (count <= 0) return;
        text += count;
        left -= (size_t)count;
    }
}

static char *rotom_crash_digits(char *end, uint64_t value, unsigned base, int width) {
    *--end = 0;
    do {
        *--end = "0123456789abcdef"[value % base];
        value /= base;
        width--;
    } while (value || width > 0);
    return end;
}

static void rotom_crash_number(int fd, uint64_t value, unsigned base, int width) {
    char digits[72];
    rotom_crash_put(fd, rotom_crash_digits(digits + sizeof digits, value, base, width));
}

/* `pid:role date # `, with the calendar computed here: localtime takes locks. */
static void rotom_crash_line(int fd) {
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t local = (int64_t)now.tv_sec + rotom_crash.utc_offset, day = local / 86400, left = local % 86400;
    int64_t shifted = day + 719468, era = shifted / 146097, of_era = shifted - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100), index = (5 * of_year + 2) / 153;
    int64_t of_month = of_year - (153 * index + 2) / 5 + 1, month = index < 10 ? index + 2 : index - 10;
    char name[6] = {' ', months[month * 3], months[month * 3 + 1], months[month * 3 + 2], ' ', 0};
    rotom_crash_number(fd, (uint64_t)getpid(), 10, 1);
    rotom_crash_put(fd, getpid() == rotom_crash.pid ? ":M " : ":C ");
    rotom_crash_number(fd, (uint64_t)of_month, 10, 2);
    rotom_crash_put(fd, name);
    rotom_crash_number(fd, (uint64_t)(year + era * 400 + (month < 2)), 10, 1);
    rotom_crash_put(fd, " ");
    rotom_crash_number(fd, (uint64_t)(left / 3600), 10, 2);
    rotom_crash_put(fd, ":");
    rotom_crash_number(fd, (uint64_t)(left / 60 % 60), 10, 2);
    rotom_crash_put(fd, ":");
    rotom_crash_number(fd, (uint64_t)(left % 60), 10, 2);
    rotom_crash_put(fd, ".");
    rotom_crash_number(fd, (uint64_t)(now.tv_nsec / 1000000), 10, 3);
    rotom_crash_put(fd, " # ");
}

static void rotom_crash_field(int fd, const char *label, uint64_t value, unsigned base) {
    rotom_crash_line(fd);
    rotom_crash_put(fd, label);
    if (base == 16) rotom_crash_put(fd, "0x");
    rotom_crash_number(fd, value, base, 1);
    rotom_crash_put(fd, "\n");
}

static void rotom_crash_end(int fd) {
    rotom_crash_put(
        fd, "\n=== ROTOMDB BUG REPORT END. Make sure to include from START to END. ===\n\n"
            "       Please report the crash with everything between the two lines. If the data set\n"
            "       cannot be shared, say what the server was doing, and whether it happens again.\n\n");
}

static void rotom_crash_backtrace(int fd) {
#if ROTOM_HAS_BACKTRACE
    void *frames[ROTOM_CRASH_FRAMES];
    rotom_crash_put(fd, "Backtrace:\n");
    backtrace_symbols_fd(frames, backtrace(frames, ROTOM_CRASH_FRAMES), fd);
#else
    rotom_crash_put(fd, "Backtrace:\nnot available with this C library\n");
#endif
}

static uint64_t rotom_crash_instruction(ucontext_t *context) {
#if defined(__linux__) && defined(__x86_64__)
    return (uint64_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__linux__) && defined(__aarch64__)
    return (uint64_t)context->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

static void rotom_crash_register(int fd, const char *name, uint64_t value, int last_in_line) {
    rotom_crash_put(fd, name);
    rotom_crash_put(fd, ":");
    rotom_crash_number(fd, value, 16, 16);
    rotom_crash_put(fd, last_in_line ? "\n" : " ");
}

static void rotom_crash_registers(int fd, ucontext_t *context) {
    rotom_crash_put(fd, "\n------ REGISTERS ------\n");
#if defined(__linux__) && defined(__x86_64__)
    static const struct { const char *name; int index; } names[] = {
        {"RAX", REG_RAX}, {"RBX", REG_RBX}, {"RCX", REG_RCX}, {"RDX", REG_RDX}, {"RDI", REG_RDI}, {"RSI", REG_RSI},
        {"RBP", REG_RBP}, {"RSP", REG_RSP}, {"R8 ", REG_R8},  {"R9 ", REG_R9},  {"R10", REG_R10}, {"R11", REG_R11},
        {"R12", REG_R12}, {"R13", REG_R13}, {"R14", REG_R14}, {"R15", REG_R15}, {"RIP", REG_RIP}, {"EFL", REG_EFL},
        {"CSGSFS", REG_CSGSFS},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        rotom_crash_register(fd, names[i].name, (uint64_t)context->uc_mcontext.gregs[names[i].index],
                             i % 2 == 1 || i + 1 == sizeof names / sizeof names[0]);
#elif defined(__linux__) && defined(__aarch64__)
    for (int i = 0; i < 31; i++) {
        char name[5] = {'X', (char)('0' + i / 10), (char)('0' + i % 10), 0, 0};
        rotom_crash_register(fd, name, (uint64_t)context->uc_mcontext.regs[i], i % 2);
    }
    rotom_crash_register(fd, "SP", (uint64_t)context->uc_mcontext.sp, 1);
    rotom_crash_register(fd, "PC", (uint64_t)context->uc_mcontext.pc, 0);
    rotom_crash_register(fd, "PSTATE", (uint64_t)context->uc_mcontext.pstate, 1);
#else
    (void)context;
    rotom_crash_put(fd, "not known for this platform\n");
#endif
}

static void rotom_crash_default(int number) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* Die of the signal, so that whoever watches sees it and a core dump can be written. */
static void rotom_crash_die(int number) {
    sigset_t all;
    rotom_crash_default(number);
    sigemptyset(&all);
    sigaddset(&all, number);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
    kill(getpid(), number);
    _exit(128 + number);
}

static void rotom_crash_too_long(int number) {
    (void)number;
    rotom_crash_put(rotom_crash.fd, "\nThe rest of the report took too long and is left out.\n");
    rotom_crash_end(rotom_crash.fd);
    rotom_crash_die(rotom_crash.number);
}

static int rotom_crash_open(void) {
    int fd = rotom_crash.path[0] ? open(rotom_crash.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : 1;
    return fd < 0 ? 2 : fd;
}

/* The first lines; from here on another crash ends the report. */
static int rotom_crash_begin(int number) {
    rotom_crash.active = 1;
    rotom_crash.number = number;
    rotom_crash.thread = rotom_thread_id();
    rotom_crash.fd = rotom_crash_open();
    rotom_crash_put(rotom_crash.fd, "\n\n=== ROTOMDB BUG REPORT START: Cut & paste starting from here ===\n");
    return rotom_crash.fd;
}

static void rotom_crash_stacks(int fd) {
    rotom_crash_put(fd, "\n------ STACK TRACE ------\n");
    rotom_crash_backtrace(fd);
    rotom_crash_put(fd, "\n------ PYTHON STACK ------\n");
    if (rotom_crash.python_stack) rotom_crash.python_stack(fd);
}

/* What needs Python or the allocator, under an alarm; a child has nothing to add. */
static void rotom_crash_rest(int fd) {
    struct sigaction action;
    if (getpid() != rotom_crash.pid || !rotom_crash.rest) return;
    memset(&action, 0, sizeof action);
    action.sa_handler = rotom_crash_too_long;
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    alarm(rotom_crash.seconds);
    rotom_crash.rest(fd);
    alarm(0);
}

static void rotom_crash_handler(int number, siginfo_t *info, void *raw) {
    if (rotom_crash.active) {
        if (rotom_crash.thread != rotom_thread_id()) {
            for (;;) pause();  /* the thread that crashed first ends the process */
        }
        rotom_crash_put(rotom_crash.fd, "\nA second crash, while the report was written: the rest is left out.\n");
        rotom_crash_end(rotom_crash.fd);
        rotom_crash_die(rotom_crash.number);
    }
    int fd = rotom_crash_begin(number);
    rotom_crash_line(fd);
    rotom_crash_put(fd, rotom_crash.product);
    rotom_crash_put(fd, " crashed by signal: ");
    rotom_crash_number(fd, (uint64_t)number, 10, 1);
    rotom_crash_put(fd, info->si_code < 0 ? ", si_code: -" : ", si_code: ");
    rotom_crash_number(fd, (uint64_t)(info->si_code < 0 ? -(int64_t)info->si_code : info->si_code), 10, 1);
    rotom_crash_put(fd, "\n");
    if (info->si_code == SI_USER) rotom_crash_field(fd, "Killed by PID: ", (uint64_t)info->si_pid, 10);
    else if (number == SIGSEGV || number == SIGBUS)
        rotom_crash_field(fd, "Accessing address: ", (uint64_t)(uintptr_t)info->si_addr, 16);
    rotom_crash_field(fd, "Crashed running the instruction at: ", rotom_crash_instruction((ucontext_t *)raw), 16);
    rotom_crash_registers(fd, (ucontext_t *)raw);
    rotom_crash_stacks(fd);
    rotom_crash_rest(fd);
    rotom_crash_end(fd);
    rotom_crash_die(number);
}

/* A stack for the handler: the one that overflowed cannot be used. Once for the thread that calls. */
static int rotom_crash_stack(void) {
    static void *area;
    stack_t stack;
    if (area == NULL) area = mmap(NULL, ROTOM_CRASH_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) {
        area = NULL;
        return -1;
    }
    memset(&stack, 0, sizeof stack);
    stack.ss_sp = area;
    stack.ss_size = ROTOM_CRASH_STACK;
    return sigaltstack(&stack, NULL);
}

static int rotom_crash_install(void) {
    struct sigaction action;
#if ROTOM_HAS_BACKTRACE
    void *frame;
    backtrace(&frame, 1);  /* the first call loads a library */
#endif
    if (rotom_crash_stack() < 0) return -1;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = rotom_crash_handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof rotom_crash_numbers / sizeof rotom_crash_numbers[0]; i++)
        if (sigaction(rotom_crash_numbers[i], &action, NULL) < 0) return -1;
    return 0;
}

static void rotom_crash_uninstall(void) {
    for (size_t i = 0; i < sizeof rotom_crash_numbers / sizeof rotom_crash_numbers[0]; i++)
        rotom_crash_default(rotom_crash_numbers[i]);
}

/* A write to a page that cannot be written. */
static void rotom_crash_now(void) {
    volatile char *page = (volatile char *)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page[0] = 'x';
}

#endif
