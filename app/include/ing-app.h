/* SPDX-License-Identifier: Apache-2.0 */
/* All public headers of app/, which is all that ui/ may include. */
#pragma once

#include "ing-ask.h"
#include "ing-catalogue.h"
#include "ing-conversation-list.h"
#include "ing-conversation.h"
#include "ing-downloads.h"
#include "ing-error.h"
#include "ing-fit.h"
#include "ing-generation-service.h"
#include "ing-job-queue.h"
#include "ing-library.h"
#include "ing-log.h"
#include "ing-message.h"
#include "ing-model-defaults.h"
#include "ing-offline.h"
#include "ing-paths.h"
#include "ing-remote-model.h"
#include "ing-sampling.h"
#include "ing-settings.h"
#include "ing-transfers.h"
#include "ing-workspace.h"
