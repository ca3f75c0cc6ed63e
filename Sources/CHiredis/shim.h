// SPDX-License-Identifier: Apache-2.0
#include <hiredis/read.h>
#include <hiredis/hiredis.h>
